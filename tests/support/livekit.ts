/** LiveKit on loopback: its Twirp API in JSON, held in memory, and its webhooks, signed as it signs them. */

import { createHash, randomBytes } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import { systemClock } from "@/lib/clock.ts";
import type { LiveKit } from "@/lib/providers/livekit/livekit.ts";

/** For houses that have no project. */
export function noLiveKit(): LiveKit {
  throw new Error("There is no LiveKit in this test");
}

export interface FakeLiveKitOptions {
  readonly apiKey?: string;
  readonly apiSecret?: string;
}

export interface TwirpRequest {
  /** `RoomService/CreateRoom` */
  readonly method: string;
  readonly body: Json;
  /** The token it came with. */
  readonly claims: Json;
}

/** How the next request goes wrong. */
export type TwirpFault =
  | { readonly type: "error"; readonly status: number; readonly code: string }
  | { readonly type: "garbage" }
  /** The connection is lost in the middle of the answer. */
  | { readonly type: "cut" };

export interface WebhookOptions {
  /** `http://127.0.0.1:PORT/livekit/webhook` */
  readonly to: string;
  /** A secret that is not the project's. */
  readonly secret?: string;
  /** A body that is not the one that was signed. */
  readonly sends?: string;
  /** Seconds that its token is good for; less than none: it has expired. */
  readonly ttlSeconds?: number;
}

export interface FakeLiveKit {
  /** For `LIVEKIT_URL`. */
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  readonly requests: readonly TwirpRequest[];
  /** Rooms, trunks and rules as they stand, by their names and ids. */
  readonly rooms: Map<string, Json>;
  readonly trunks: Map<string, Json & { readonly inbound: boolean }>;
  readonly rules: Map<string, Json>;
  /** By room and identity, with a line feed between them. */
  readonly participants: Map<string, Json>;
  readonly egresses: Map<string, Json>;
  failNext(...faults: TwirpFault[]): void;
  /** Posts an event, and answers the status that came back. */
  tell(event: Json, options: WebhookOptions): Promise<number>;
  close(): Promise<void>;
}

export type Json = Readonly<Record<string, unknown>>;

/** What a method may be called with: LiveKit refuses any other token. */
type Grant = (claims: Json, body: Json) => boolean;
const video = (claims: Json): Json => (claims["video"] ?? {}) as Json;
const sip = (claims: Json): Json => (claims["sip"] ?? {}) as Json;
const ofRoom: Grant = (claims, body) =>
  video(claims)["roomAdmin"] === true && video(claims)["room"] === body["room"];
const roomCreate: Grant = (claims) => video(claims)["roomCreate"] === true;
const roomList: Grant = (claims) => video(claims)["roomList"] === true;
const roomRecord: Grant = (claims) => video(claims)["roomRecord"] === true;
const sipAdmin: Grant = (claims) => sip(claims)["admin"] === true;

class Twirp extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

const newId = (prefix: string): string => `${prefix}_${randomBytes(6).toString("hex")}`;

export function startLiveKit(options: FakeLiveKitOptions = {}): FakeLiveKit {
  const { apiKey = "APItest", apiSecret = "a secret of the tests, 32 characters long" } = options;
  const key = new TextEncoder().encode(apiSecret);
  const requests: TwirpRequest[] = [];
  const faults: TwirpFault[] = [];
  const rooms = new Map<string, Json>();
  const trunks = new Map<string, Json & { readonly inbound: boolean }>();
  const rules = new Map<string, Json>();
  const participants = new Map<string, Json>();
  const egresses = new Map<string, Json>();

  function missing(): never {
    throw new Twirp(404, "not_found");
  }

  function text(body: Json, field: string): string {
    const value = body[field] ?? "";
    if (typeof value !== "string") throw new Twirp(400, "malformed");
    return value;
  }

  function room(name: string): Json {
    const before = rooms.get(name);
    if (before !== undefined) return before;
    const made = { sid: newId("RM"), name, creationTime: "1780000000", numParticipants: 0 };
    rooms.set(name, made);
    return made;
  }

  function listed(of: ReadonlyMap<string, Json>): Json {
    return { items: [...of.values()] };
  }

  function trunk(body: Json, inbound: boolean): Json {
    const { authPassword: _, ...info } = (body["trunk"] ?? {}) as Json;
    const id = newId("ST");
    const isOpen = inbound && info["authUsername"] === undefined &&
      !Array.isArray(info["allowedAddresses"]);
    if (isOpen) throw new Twirp(400, "invalid_argument");
    trunks.set(id, { ...info, sipTrunkId: id, inbound });
    return { ...info, sipTrunkId: id };
  }

  const methods: Readonly<Record<string, readonly [Grant, (body: Json) => Json]>> = {
    "RoomService/CreateRoom": [roomCreate, (body) => {
      const made = { ...room(text(body, "name")), metadata: text(body, "metadata") };
      rooms.set(text(body, "name"), made);
      return made;
    }],
    "RoomService/ListRooms": [roomList, () => ({ rooms: [...rooms.values()] })],
    "RoomService/DeleteRoom": [
      roomCreate,
      (body) => rooms.delete(text(body, "room")) ? {} : missing(),
    ],
    "RoomService/ListParticipants": [ofRoom, (body) => {
      const prefix = `${text(body, "room")}\n`;
      const found = [...participants].filter(([at]) => at.startsWith(prefix));
      return { participants: found.map(([, participant]) => participant) };
    }],
    "RoomService/RemoveParticipant": [
      ofRoom,
      (body) =>
        participants.delete(`${text(body, "room")}\n${text(body, "identity")}`) ? {} : missing(),
    ],
    "SIP/CreateSIPInboundTrunk": [sipAdmin, (body) => trunk(body, true)],
    "SIP/CreateSIPOutboundTrunk": [sipAdmin, (body) => trunk(body, false)],
    "SIP/ListSIPInboundTrunk": [
      sipAdmin,
      () => ({ items: [...trunks.values()].filter(({ inbound }) => inbound) }),
    ],
    "SIP/ListSIPOutboundTrunk": [
      sipAdmin,
      () => ({ items: [...trunks.values()].filter(({ inbound }) => !inbound) }),
    ],
    "SIP/DeleteSIPTrunk": [
      sipAdmin,
      (body) => trunks.delete(text(body, "sipTrunkId")) ? {} : missing(),
    ],
    "SIP/CreateSIPDispatchRule": [sipAdmin, (body) => {
      const id = newId("SDR");
      rules.set(id, { ...body, sipDispatchRuleId: id });
      return { ...body, sipDispatchRuleId: id };
    }],
    "SIP/ListSIPDispatchRule": [sipAdmin, () => listed(rules)],
    "SIP/DeleteSIPDispatchRule": [
      sipAdmin,
      (body) => rules.delete(text(body, "sipDispatchRuleId")) ? {} : missing(),
    ],
    "SIP/CreateSIPParticipant": [(claims) => sip(claims)["call"] === true, (body) => {
      const known = trunks.get(text(body, "sipTrunkId"));
      if (known === undefined || known.inbound) return missing();
      if (!/^\+[1-9]\d{5,14}$/.test(text(body, "sipCallTo"))) {
        throw new Twirp(400, "invalid_argument");
      }
      room(text(body, "roomName"));
      const identity = text(body, "participantIdentity");
      participants.set(`${text(body, "roomName")}\n${identity}`, {
        ...{ sid: newId("PA"), identity, kind: "SIP", state: "JOINED" },
        attributes: body["participantAttributes"] ?? {},
      });
      return {
        participantId: newId("PA"),
        participantIdentity: identity,
        roomName: text(body, "roomName"),
        sipCallId: newId("SCL"),
      };
    }],
    "SIP/TransferSIPParticipant": [
      (claims, body) =>
        sip(claims)["call"] === true && video(claims)["roomAdmin"] === true &&
        video(claims)["room"] === body["roomName"],
      (body) => {
        const at = `${text(body, "roomName")}\n${text(body, "participantIdentity")}`;
        if (!participants.has(at)) return missing();
        if (!text(body, "transferTo").startsWith("tel:")) throw new Twirp(400, "invalid_argument");
        return {};
      },
    ],
    "Connector/ConnectTwilioCall": [
      roomCreate,
      (body) => ({
        connectUrl: `wss://connector.example.com/${text(body, "roomName")}/${newId("TC")}`,
      }),
    ],
    "Egress/StartRoomCompositeEgress": [roomRecord, (body) => {
      if (!rooms.has(text(body, "roomName"))) return missing();
      const egressId = newId("EG");
      const info = {
        ...{ egressId, roomName: text(body, "roomName"), status: "EGRESS_STARTING" },
        ...{ startedAt: "0", updatedAt: "1780000000000000000" },
      };
      egresses.set(egressId, info);
      return info;
    }],
    "Egress/StopEgress": [roomRecord, (body) => {
      const egressId = text(body, "egressId");
      const before = egresses.get(egressId);
      if (before === undefined) return missing();
      const info = { ...before, status: "EGRESS_ENDING", updatedAt: "1780000009000000000" };
      egresses.set(egressId, info);
      return info;
    }],
    "Egress/ListEgress": [roomRecord, (body) => {
      const found = egresses.get(text(body, "egressId"));
      return { items: found === undefined ? [] : [found] };
    }],
  };

  async function answer(request: Request): Promise<Response> {
    const method = new URL(request.url).pathname.replace(/^\/twirp\/livekit\./, "");
    const body: Json = JSON.parse(await request.text());
    const token = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
    const shown = await jwtVerify(token, key, { issuer: apiKey }).catch(() => null);
    if (shown === null) return refuse(401, "unauthenticated");
    requests.push({ method, body, claims: shown.payload });
    const fault = faults.shift();
    if (fault !== undefined) return misbehave(fault);
    const [grant, act] = methods[method] ?? [];
    if (grant === undefined || act === undefined) return refuse(404, "bad_route");
    if (!grant(shown.payload, body)) return refuse(403, "permission_denied");
    try {
      return Response.json(act(body));
    } catch (error) {
      if (error instanceof Twirp) return refuse(error.status, error.code);
      throw error;
    }
  }

  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, answer);

  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    ...{ apiKey, apiSecret, requests, rooms, trunks, rules, participants, egresses },
    failNext: (...next) => void faults.push(...next),
    async tell(event, { to, secret = apiSecret, sends, ttlSeconds = 300 }) {
      const body = JSON.stringify(event);
      const sha256 = createHash("sha256").update(body).digest("base64");
      const now = Math.floor(systemClock.date().getTime() / 1_000);
      const token = await new SignJWT({ sha256 })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .setIssuer(apiKey).setNotBefore(now - 60).setExpirationTime(now + ttlSeconds)
        .sign(new TextEncoder().encode(secret));
      const response = await fetch(to, {
        method: "POST",
        headers: { "Authorization": token, "Content-Type": "application/webhook+json" },
        body: sends ?? body,
      });
      await response.body?.cancel();
      return response.status;
    },
    close: () => server.shutdown(),
  };
}

/** https://twitchtv.github.io/twirp/docs/errors.html */
function refuse(status: number, code: string): Response {
  return Response.json({ code, msg: "a sentence that may name +15550100100" }, { status });
}

function misbehave(fault: TwirpFault): Response {
  switch (fault.type) {
    case "error":
      return refuse(fault.status, fault.code);
    case "garbage":
      return new Response("<html>oops");
    case "cut":
      return new Response(
        new ReadableStream({
          pull(stream) {
            stream.error(new Error("cut"));
          },
        }),
      );
  }
}
