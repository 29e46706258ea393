/** LiveKit over REST: tokens, rooms, telephones and recordings. */

import { createRoute, z } from "@hono/zod-openapi";
import { TOKEN_TTL_MAX_S } from "@/actors/desk/livekit_rooms.ts";
import { EGRESS_STATUSES } from "@/lib/providers/livekit/livekit.ts";
import { ROOM_NAME } from "@/lib/providers/livekit/rooms.ts";
import { answer, body, id, idField, listOf, newRoutes, PageQuery } from "./openapi.ts";
import { Phone, SIGNED_IN, Time } from "./openapi.ts";

const RoomName = z.string().regex(ROOM_NAME, "Letters, digits and _ . + -, 100 at most")
  .meta({ example: "front-desk" });
const Name = z.string().max(100).default("");
/** What is no room's, participant's or trunk's names nothing: `not_found`, not `invalid`. */
const Known = z.string().max(256);
const Identity = z.string().regex(/^[\w.@+:-]{1,128}$/, "Letters, digits and _ . @ + : -");
const Login = z.strictObject({
  username: z.string().regex(/^[\x21-\x7e]{1,64}$/, "Printable ASCII"),
  password: z.string().regex(/^[\x21-\x7e]{12,128}$/, "Printable ASCII, 12 to 128"),
});
const SipAddress = z.string().max(253).regex(
  /^[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?$/,
  "Not a host, as sip.example.com",
);

const NewToken = z.strictObject({
  room: RoomName,
  identity: Identity,
  name: Name,
  ttlSeconds: z.int().min(10).max(TOKEN_TTL_MAX_S).default(TOKEN_TTL_MAX_S),
  canSpeak: z.boolean().default(true),
  canListen: z.boolean().default(true),
  canSendData: z.boolean().default(false),
  agentId: idField("agent").nullable().default(null).meta({
    description: "Who joins them when they are in the room (its webhook tells); null: nobody",
  }),
});
const Token = z.object({ token: z.string(), url: z.string(), room: z.string(), expiresAt: Time })
  .openapi("LiveKitToken");

const NewRoom = z.strictObject({
  name: RoomName,
  metadata: z.string().max(4_096).default(""),
  emptyTimeoutSeconds: z.int().min(1).max(86_400).default(300),
  maxParticipants: z.int().min(1).max(1_000).default(20),
});
const Room = z.object({
  name: z.string(),
  sid: z.string(),
  metadata: z.string(),
  participantCount: z.int(),
  createdAt: Time,
}).openapi("LiveKitRoom");
const Participant = z.object({
  sid: z.string(),
  identity: z.string(),
  name: z.string(),
  kind: z.enum(["standard", "sip", "agent", "other"]),
  state: z.enum(["joining", "joined", "active", "disconnected"]),
  attributes: z.record(z.string(), z.string()),
}).openapi("LiveKitParticipant");

const trunk = {
  name: z.string().trim().min(1).max(100),
  numbers: z.array(Phone).min(1).max(100),
  login: Login.nullable().default(null),
};
const NewTrunk = z.discriminatedUnion("direction", [
  z.strictObject({
    direction: z.literal("inbound"),
    ...trunk,
    allowedAddresses: z.array(
      z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()]),
    ).max(50).default([]),
  }),
  z.strictObject({ direction: z.literal("outbound"), ...trunk, address: SipAddress }),
]);
const Trunk = z.object({
  id: z.string(),
  name: z.string(),
  numbers: z.array(z.string()),
  direction: z.enum(["inbound", "outbound"]),
  username: z.string().nullable(),
  allowedAddresses: z.array(z.string()),
  address: z.string().nullable(),
}).openapi("LiveKitTrunk");

const NewRule = z.strictObject({
  name: z.string().trim().min(1).max(100),
  type: z.enum(["direct", "individual"]).default("individual").meta({
    description: "direct: all who call meet in one room; individual: each has a room of their own",
  }),
  room: RoomName.meta({ description: "The room, or what the names of the rooms begin with" }),
  trunkIds: z.array(z.string().min(1).max(64)).min(1).max(20),
  agentId: idField("agent").nullable().default(null).meta({
    description: "Who answers the calls; null: whoever else is in the room",
  }),
});
const Rule = z.object({
  id: z.string(),
  name: z.string(),
  type: z.enum(["direct", "individual"]),
  room: z.string(),
  trunkIds: z.array(z.string()),
  agentId: z.string().nullable(),
}).openapi("LiveKitDispatchRule");

const NewDial = z.strictObject({
  trunkId: z.string().min(1).max(64),
  to: Phone,
  from: Phone.nullable().default(null).meta({ description: "Null: the trunk's own number" }),
  identity: Identity,
  name: Name,
  keys: z.string().regex(/^[0-9*#A-Dw]{0,32}$/, "Keys; w waits half a second").default(""),
  ringingSeconds: z.int().min(5).max(50).default(30),
  maxSeconds: z.int().min(10).max(86_400).default(3_600),
  agentId: idField("agent").nullable().default(null),
});
const Dialed = z.object({ participantId: z.string(), identity: z.string(), sipCallId: z.string() })
  .openapi("LiveKitDial");
const NewAgent = z.strictObject({
  agentId: idField("agent"),
  identity: Known.min(1).meta({ description: "Of the participant that the agent is to talk to" }),
});
const Joined = z.object({ id: id("call") }).openapi("LiveKitCall");
const Transfer = z.strictObject({ to: Phone });

const NewEgress = z.strictObject({
  room: RoomName,
  isAudioOnly: z.boolean().default(true),
  path: z.string().regex(/^[\w{}-]+([./]?[\w{}-]+)*$/, "No suffix, and no empty part").max(200)
    .nullable().default(null)
    .meta({ description: "Under the company's id; LiveKit fills in {room_name} and {time}" }),
  s3: z.strictObject({
    bucket: z.string().min(1).max(63),
    region: z.string().min(1).max(64),
    accessKey: z.string().min(1).max(256),
    secret: z.string().min(1).max(256),
    endpoint: z.url({ protocol: /^https$/ }).max(2_048).nullable().default(null),
  }).nullable().default(null).meta({
    description: "Null: the store that the LiveKit server is set up with. Passed on, not kept",
  }),
});
const Egress = z.object({
  id: id("egress"),
  livekitId: z.string(),
  room: z.string(),
  status: z.enum(EGRESS_STATUSES),
  error: z.string().nullable(),
  files: z.array(z.object({
    name: z.string(),
    location: z.string(),
    sizeBytes: z.number(),
    durationMs: z.number(),
  })),
  startedBy: z.string().nullable(),
  createdAt: Time,
  startedAt: Time.nullable(),
  endedAt: Time.nullable(),
}).openapi("LiveKitEgress");

const Status = z.object({
  account: z.enum(["house", "tenant"]),
  url: z.string(),
  hasSip: z.boolean().meta({ description: "Whether a carrier can phone it" }),
}).openapi("LiveKitStatus");

const common = { tags: ["LiveKit"], security: SIGNED_IN };
const items = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item) });
const roomParam = z.object({ room: Known });
const idParam = z.object({ id: Known });
const participantParams = z.object({ room: Known, identity: Known });

const routes = {
  status: createRoute({
    ...common,
    method: "get",
    path: "/",
    summary: "Which LiveKit project is used",
    responses: { 200: answer(Status, "The project; 503 where there is none") },
  }),
  newToken: createRoute({
    ...common,
    method: "post",
    path: "/tokens",
    summary: "A token to join one room",
    description: "Good for ten minutes at most, for this room and this identity alone.",
    request: { body: body(NewToken) },
    responses: { 201: answer(Token, "The token, and where to connect") },
  }),
  rooms: createRoute({
    ...common,
    method: "get",
    path: "/rooms",
    summary: "The company's rooms that are open",
    responses: { 200: answer(items(Room), "The rooms") },
  }),
  newRoom: createRoute({
    ...common,
    method: "post",
    path: "/rooms",
    summary: "Open a room",
    request: { body: body(NewRoom) },
    responses: { 201: answer(Room, "The room; one that is open already as it is") },
  }),
  deleteRoom: createRoute({
    ...common,
    method: "delete",
    path: "/rooms/{room}",
    summary: "Close a room: all who are in it leave",
    request: { params: roomParam },
    responses: { 204: { description: "It is closed" } },
  }),
  participants: createRoute({
    ...common,
    method: "get",
    path: "/rooms/{room}/participants",
    summary: "Who is in a room",
    request: { params: roomParam },
    responses: { 200: answer(items(Participant), "The participants") },
  }),
  removeParticipant: createRoute({
    ...common,
    method: "delete",
    path: "/rooms/{room}/participants/{identity}",
    summary: "Remove a participant; one by telephone is hung up",
    request: { params: participantParams },
    responses: { 204: { description: "They have left" } },
  }),
  join: createRoute({
    ...common,
    method: "post",
    path: "/rooms/{room}/agents",
    summary: "Have an agent join a room and talk to a participant",
    description:
      "It is a call as any other, of channel `room`; it ends when the participant leaves.",
    request: { params: roomParam, body: body(NewAgent) },
    responses: { 201: answer(Joined, "The call") },
  }),
  dial: createRoute({
    ...common,
    method: "post",
    path: "/rooms/{room}/sip-participants",
    summary: "Phone somebody into a room",
    description: "Counts as a dial. The room must be open.",
    request: { params: roomParam, body: body(NewDial) },
    responses: { 201: answer(Dialed, "They are being phoned") },
  }),
  transfer: createRoute({
    ...common,
    method: "post",
    path: "/rooms/{room}/sip-participants/{identity}/transfer",
    summary: "Transfer a participant by telephone to another number",
    description: "By SIP REFER: the carrier of the trunk must allow it. Counts as a dial.",
    request: { params: participantParams, body: body(Transfer) },
    responses: { 204: { description: "They are with the other number" } },
  }),
  trunks: createRoute({
    ...common,
    method: "get",
    path: "/trunks",
    summary: "SIP trunks",
    responses: { 200: answer(items(Trunk), "The trunks, without their passwords") },
  }),
  newTrunk: createRoute({
    ...common,
    method: "post",
    path: "/trunks",
    summary: "Add a SIP trunk",
    description:
      "Its numbers are the company's own. One for calls that come in has a login, or names who may call.",
    request: { body: body(NewTrunk) },
    responses: { 201: answer(Trunk, "The trunk") },
  }),
  deleteTrunk: createRoute({
    ...common,
    method: "delete",
    path: "/trunks/{id}",
    summary: "Delete a SIP trunk",
    request: { params: idParam },
    responses: { 204: { description: "It is gone" } },
  }),
  rules: createRoute({
    ...common,
    method: "get",
    path: "/dispatch-rules",
    summary: "Which rooms calls that come in lead to",
    responses: { 200: answer(items(Rule), "The rules") },
  }),
  newRule: createRoute({
    ...common,
    method: "post",
    path: "/dispatch-rules",
    summary: "Lead the calls of trunks into rooms",
    request: { body: body(NewRule) },
    responses: { 201: answer(Rule, "The rule") },
  }),
  deleteRule: createRoute({
    ...common,
    method: "delete",
    path: "/dispatch-rules/{id}",
    summary: "Delete a dispatch rule",
    request: { params: idParam },
    responses: { 204: { description: "It is gone" } },
  }),
  egresses: createRoute({
    ...common,
    method: "get",
    path: "/egress",
    summary: "Recordings of rooms, newest first",
    request: { query: PageQuery },
    responses: { 200: answer(listOf(Egress), "A page of recordings") },
  }),
  newEgress: createRoute({
    ...common,
    method: "post",
    path: "/egress",
    summary: "Record a room",
    description: "Whoever is recorded must have been told: nothing is said by itself.",
    request: { body: body(NewEgress) },
    responses: { 201: answer(Egress, "The recording, which is starting") },
  }),
  egress: createRoute({
    ...common,
    method: "get",
    path: "/egress/{id}",
    summary: "How a recording stands",
    request: { params: z.object({ id: id("egress") }) },
    responses: { 200: answer(Egress, "The recording") },
  }),
  stopEgress: createRoute({
    ...common,
    method: "post",
    path: "/egress/{id}/stop",
    summary: "End a recording",
    request: { params: z.object({ id: id("egress") }) },
    responses: { 200: answer(Egress, "The recording, which is ending") },
  }),
};

export const livekit = newRoutes()
  .openapi(routes.status, async (c) => c.json(await c.var.desk("liveKitStatus"), 200))
  .openapi(
    routes.newToken,
    async (c) => c.json(await c.var.desk("newLiveKitToken", c.req.valid("json")), 201),
  )
  .openapi(routes.rooms, async (c) => c.json(await c.var.desk("liveKitRooms"), 200))
  .openapi(
    routes.newRoom,
    async (c) => c.json(await c.var.desk("createLiveKitRoom", c.req.valid("json")), 201),
  )
  .openapi(routes.deleteRoom, async (c) => {
    await c.var.desk("deleteLiveKitRoom", c.req.valid("param").room);
    return c.body(null, 204);
  })
  .openapi(
    routes.participants,
    async (c) => c.json(await c.var.desk("liveKitParticipants", c.req.valid("param").room), 200),
  )
  .openapi(routes.removeParticipant, async (c) => {
    await c.var.desk("removeLiveKitParticipant", c.req.valid("param"));
    return c.body(null, 204);
  })
  .openapi(routes.join, async (c) => {
    const visit = { ...c.req.valid("json"), ...c.req.valid("param") };
    return c.json(await c.var.desk("joinLiveKitRoom", visit), 201);
  })
  .openapi(routes.dial, async (c) => {
    const call = { ...c.req.valid("json"), ...c.req.valid("param") };
    return c.json(await c.var.desk("dialFromLiveKit", call), 201);
  })
  .openapi(routes.transfer, async (c) => {
    const transfer = { ...c.req.valid("json"), ...c.req.valid("param") };
    await c.var.desk("transferFromLiveKit", transfer);
    return c.body(null, 204);
  })
  .openapi(routes.trunks, async (c) => c.json(await c.var.desk("liveKitTrunks"), 200))
  .openapi(
    routes.newTrunk,
    async (c) => c.json(await c.var.desk("createLiveKitTrunk", c.req.valid("json")), 201),
  )
  .openapi(routes.deleteTrunk, async (c) => {
    await c.var.desk("deleteLiveKitTrunk", c.req.valid("param").id);
    return c.body(null, 204);
  })
  .openapi(routes.rules, async (c) => c.json(await c.var.desk("liveKitRules"), 200))
  .openapi(
    routes.newRule,
    async (c) => c.json(await c.var.desk("createLiveKitRule", c.req.valid("json")), 201),
  )
  .openapi(routes.deleteRule, async (c) => {
    await c.var.desk("deleteLiveKitRule", c.req.valid("param").id);
    return c.body(null, 204);
  })
  .openapi(
    routes.egresses,
    async (c) => c.json(await c.var.desk("liveKitEgresses", c.req.valid("query")), 200),
  )
  .openapi(
    routes.newEgress,
    async (c) => c.json(await c.var.desk("startLiveKitEgress", c.req.valid("json")), 201),
  )
  .openapi(
    routes.egress,
    async (c) => c.json(await c.var.desk("liveKitEgress", c.req.valid("param").id), 200),
  )
  .openapi(
    routes.stopEgress,
    async (c) => c.json(await c.var.desk("stopLiveKitEgress", c.req.valid("param").id), 200),
  );
