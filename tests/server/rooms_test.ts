/** Calls in LiveKit's rooms, over real sockets: server, the process that joins rooms, and somebody in the room. */

import assert from "node:assert/strict";
import { REFUSALS_MAX } from "@/actors/call/life/stream.ts";
import { DEMO_AGENT_ID, DEMO_TENANT_ID } from "@/db/demo.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { wireRoom } from "@/lib/providers/livekit/rooms.ts";
import { type RoomsServer, startRooms } from "@/lib/rooms/server.ts";
import { Secret } from "@/lib/secret.ts";
import { follow, type Transcript } from "@/tests/load/transcript.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type FakeRoom, fakeRooms } from "@/tests/support/fake_room.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import { type Json, startLiveKit } from "@/tests/support/livekit.ts";
import { startProtocolServer } from "@/tests/support/protocol_server.ts";
import { serverKit } from "@/tests/support/server.ts";

const { open } = await testDatabase();
const TOKEN = "a-token-of-the-tests";
const STARTED = { type: "started" } as const;
const ROOM = wireRoom(DEMO_TENANT_ID, "desk");

async function setUp({ token = TOKEN, process: other = "" } = {}) {
  const database = await open();
  const livekit = startLiveKit();
  const rooms: FakeRoom[] = [];
  const waiting: ((room: FakeRoom) => void)[] = [];
  const join = fakeRooms(systemClock, (room) => {
    rooms.push(room);
    waiting.shift()?.(room);
  });
  const start = (port = 0): Promise<RoomsServer> =>
    startRooms({
      ...{ hostname: "127.0.0.1", port, token: new Secret(token), join },
      ...{ clock: systemClock, log: silentLog },
    });
  let process = await start();
  const { port } = process;
  const kit = await serverKit({
    database,
    env: {
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      ROOMS_URL: other === "" ? `ws://127.0.0.1:${port}` : other,
      ROOMS_TOKEN: TOKEN,
    },
  });

  /** Somebody is in the room, as LiveKit lists them. */
  function enter(identity: string, more: Json = {}): Json {
    livekit.rooms.set(ROOM, { sid: "RM_1", name: ROOM, creationTime: "1780000000" });
    const participant = { sid: `PA_${crypto.randomUUID()}`, identity, ...more };
    livekit.participants.set(`${ROOM}\n${identity}`, participant);
    return participant;
  }

  return {
    ...{ kit, livekit, rooms, enter },
    nextRoom: () => new Promise<FakeRoom>((resolve) => waiting.push(resolve)),
    async restart() {
      await process.close();
      process = await start(port);
    },
    async join(identity: string): Promise<{ status: number; body: Record<string, string> }> {
      const answer = await kit.rest("/api/v1/livekit/rooms/desk/agents", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ agentId: DEMO_AGENT_ID, identity }),
      });
      return { status: answer.status, body: await answer.json() };
    },
    follow: (callId: string): Promise<Transcript> =>
      follow({ ...kit, callId, clock: systemClock, told() {}, lookEveryMs: 400 }),
    async lastCall(): Promise<Record<string, string>> {
      const { items } = await (await kit.rest("/api/v1/calls?limit=1")).json();
      return items[0];
    },
    async [Symbol.asyncDispose]() {
      await kit.close();
      await process.close();
      await livekit.close();
      await database.close();
    },
  };
}

function assertHeard({ events }: Transcript, pieces: readonly FakeRoom[]): void {
  const stored = events.filter((event) => event.type === "agent_said");
  const played = pieces.flatMap((room) => playedWords(room));
  const { extra, missing } = compareHeard(stored, played, []);
  assert.deepEqual({ extra, missing }, { extra: [], missing: [] });
}

Deno.test("who joins a room with an agent's token is talked to, and the transcript is what they heard", async () => {
  await using it = await setUp();
  const token = await it.kit.rest("/api/v1/livekit/tokens", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ room: "desk", identity: "ada", agentId: DEMO_AGENT_ID }),
  });
  assert.equal(token.status, 201);
  await token.body?.cancel();
  const coming = it.nextRoom();
  const participant = it.enter("ada", { attributes: { "ringmaster.agentId": DEMO_AGENT_ID } });
  const event = {
    ...{ id: "EV_1", event: "participant_joined", createdAt: "1780000000", participant },
    room: { sid: "RM_1", name: ROOM },
  };
  const to = `${it.kit.url.replace("localhost", "127.0.0.1")}/livekit/webhook`;
  assert.equal(await it.livekit.tell(event, { to }), 204);
  assert.equal(await it.livekit.tell(event, { to }), 204);
  const room = await coming;
  assert.equal(room.options.identity, "ada");
  newCaller({
    clock: systemClock,
    stream: room,
    lines: ["I have a toothache."],
    hangUp: () => room.end(),
  });
  await sleep(systemClock, 500);
  const call = await it.lastCall();
  const transcript = await it.follow(call["id"] ?? "");
  assert.deepEqual(
    transcript.events.flatMap((it) => it.type === "caller_said" ? [it.text] : []),
    ["I have a toothache."],
  );
  assert.equal(transcript.reason, "caller_hung_up");
  assertHeard(transcript, [room]);
  assert.equal(it.rooms.length, 1, "told twice, it is joined once");
  const { channel, from, to: called, status } = await it.lastCall();
  assert.deepEqual([channel, from, called, status], ["room", "ada", "desk", "ended"]);
});

Deno.test("a process that joins rooms and dies ends no call: the agent comes back and goes on", async () => {
  await using it = await setUp();
  it.enter("ada");
  const coming = it.nextRoom();
  const { status, body } = await it.join("ada");
  assert.equal(status, 201, JSON.stringify(body));
  const first = await coming;
  await sleep(systemClock, 1_200); // in the middle of the greeting
  const again = it.nextRoom();
  await it.restart();
  const second = await again;
  assert.ok(first.hasLeft);
  await sleep(systemClock, 1_500);
  second.end();
  const transcript = await it.follow(body["id"] ?? "");
  assert.deepEqual(
    transcript.events.flatMap(({ type }) => /^leg_/.test(type) ? [type] : []),
    ["leg_started", "leg_lost", "leg_started"],
  );
  assert.equal(transcript.reason, "caller_hung_up");
  assert.ok(playedWords(second).length > 0, "it went on speaking");
});

Deno.test("keys pressed in a room are the call's, and hanging up removes who came by telephone", async () => {
  await using it = await setUp();
  const attributes = { "sip.phoneNumber": "+15550100199", "sip.trunkPhoneNumber": "+15550100100" };
  it.enter("caller", { kind: "SIP", attributes });
  const coming = it.nextRoom();
  const { body } = await it.join("caller");
  const room = await coming;
  room.press("5");
  await sleep(systemClock, 200);
  const { from, to } = await it.lastCall();
  assert.deepEqual([from, to], ["+15550100199", "+15550100100"]);
  const answer = await it.kit.rest(`/api/v1/calls/${body["id"]}/transfer`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ to: "+15550100000" }),
  });
  assert.equal(answer.status, 409);
  await answer.body?.cancel();
  const hungUp = await it.kit.rest(`/api/v1/calls/${body["id"]}/hang-up`, { method: "POST" });
  await hungUp.body?.cancel();
  const { events, reason } = await it.follow(body["id"] ?? "");
  assert.ok(events.some((event) => event.type === "dtmf_pressed" && event.digit === "5"));
  assert.equal(reason, "stopped");
  assert.equal(it.livekit.participants.size, 0);
  assert.ok(room.hasLeft);
});

Deno.test("where nobody is, and where no process takes the token, no agent joins and no call is begun", async () => {
  await using it = await setUp({ token: "another-token-than-set" });
  assert.equal((await it.join("ada")).status, 404);
  it.enter("ada");
  assert.equal((await it.join("bob")).status, 404);
  const { status, body } = await it.join("ada");
  assert.deepEqual([status, body["code"]], [502, "provider_failed"]);
  assert.equal(it.rooms.length, 0);
});

Deno.test("a process that refuses what the server says is not asked for ever: the call ends as refused", async () => {
  // It takes the first frame for no frame, as one of another version would.
  const server = await startProtocolServer({
    accept: () => (peer) => ({
      text: (message) => void (JSON.parse(message).type === "join" && peer.send(STARTED)),
      bytes: () => peer.close(1008, "Not whole frames of 20 ms"),
      closed() {},
    }),
  });
  await using it = await setUp({ process: server.url.replace("http", "ws") });
  it.enter("ada");
  const { status, body } = await it.join("ada");
  assert.equal(status, 201, JSON.stringify(body));
  const { reason, outcome } = await it.follow(body["id"] ?? "");
  assert.deepEqual([outcome, reason], ["failed", "leg_refused"]);
  await sleep(systemClock, 1_000);
  assert.equal(server.acceptedCount, REFUSALS_MAX);
  await server.close();
});
