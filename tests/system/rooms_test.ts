/** Calls in LiveKit's rooms whose machine is lost, or leaves: another joins the room again, and goes on. */

import assert from "node:assert/strict";
import { TIMINGS } from "@/actors/cluster/membership.ts";
import { DEMO_AGENT_ID, DEMO_TENANT_ID } from "@/db/demo.ts";
import { deadline, sleep, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { AGENT_IDENTITY, wireRoom } from "@/lib/providers/livekit/rooms.ts";
import { startRooms } from "@/lib/rooms/server.ts";
import { Secret } from "@/lib/secret.ts";
import { exampleGraph } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { type Machine, startMachines } from "@/tests/load/machines.ts";
import { follow, type Transcript } from "@/tests/load/transcript.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { type FakeRoom, fakeRooms } from "@/tests/support/fake_room.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import { type Json, startLiveKit } from "@/tests/support/livekit.ts";

const ROOM = wireRoom(DEMO_TENANT_ID, "desk");
const LINE = "I would like a new tyre.";
const TOKEN = "a-token-of-the-tests";
/** Of a machine that does other things as well. */
const SLACK_MS = 10_000;
const LIFE_MS = 120_000;

async function setUp() {
  const livekit = startLiveKit();
  const waiting = new Map<string, ((room: FakeRoom) => void)[]>();
  const process = await startRooms({
    ...{ hostname: "127.0.0.1", port: 0, token: new Secret(TOKEN) },
    join: fakeRooms(systemClock, (room) => waiting.get(room.options.identity)?.shift()?.(room)),
    ...{ clock: systemClock, log: silentLog },
  });
  const machines = await startMachines({
    nodes: 2,
    port: 0,
    agent: parseGraph(exampleGraph),
    env: {
      LIVEKIT_URL: livekit.url,
      LIVEKIT_API_KEY: livekit.apiKey,
      LIVEKIT_API_SECRET: livekit.apiSecret,
      ROOMS_URL: `ws://127.0.0.1:${process.port}`,
      ROOMS_TOKEN: TOKEN,
    },
  });
  const life = deadline(systemClock, LIFE_MS, () => new Error("The test outlived its time"));
  life.signal.addEventListener("abort", () => void machines.close(0));
  const [one, two] = machines.machines;
  assert.ok(one && two);
  const { apiKey } = machines.target;
  livekit.rooms.set(ROOM, { sid: "RM_1", name: ROOM, creationTime: "1780000000" });

  function nextRoom(identity: string): Promise<FakeRoom> {
    return new Promise((resolve) => {
      waiting.set(identity, [...waiting.get(identity) ?? [], resolve]);
    });
  }

  return {
    ...{ machines, one, two, livekit, nextRoom },
    /** Somebody is in the room, and an agent joins them through the first machine. */
    async join(identity: string) {
      const participant: Json = { sid: `PA_${identity}`, identity };
      livekit.participants.set(`${ROOM}\n${identity}`, participant);
      const coming = nextRoom(identity);
      const answer = await fetch(`${one.url}/api/v1/livekit/rooms/desk/agents`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${apiKey}` },
        body: JSON.stringify({ agentId: DEMO_AGENT_ID, identity }),
      });
      assert.equal(answer.status, 201);
      const { id } = await answer.json() as { id: string }; // our own server's answer
      return { callId: id, room: await coming };
    },
    /** As LiveKit does when the agent has left. */
    tellLeft: (identity: string, to: Machine) =>
      livekit.tell({
        ...{ id: crypto.randomUUID(), event: "participant_left", createdAt: "1780000000" },
        participant: { sid: "PA_agent", identity: `${AGENT_IDENTITY}PA_${identity}` },
        room: { sid: "RM_1", name: ROOM },
      }, { to: `${to.url}/livekit/webhook` }),
    follow: (callId: string): Promise<Transcript> =>
      follow({
        ...{ url: two.url, apiKey, callId, clock: systemClock, told() {} },
        lookEveryMs: 400,
      }),
    async [Symbol.asyncDispose]() {
      life.cancel();
      await machines.close();
      await process.close();
      await livekit.close();
    },
  };
}

/** The agent has begun to speak, and is in the middle of it. */
async function speaks(room: FakeRoom): Promise<void> {
  while (playedWords(room).length < 3) await sleep(systemClock, 50);
}

function assertGoneOn({ events, reason, variables }: Transcript, pieces: readonly FakeRoom[]) {
  assert.equal(reason, "agent_hung_up");
  assert.equal(Object.values(variables).length, 1, JSON.stringify(variables));
  assert.equal(events.filter(({ type }) => type === "call_ended").length, 1);
  assert.equal(events.filter(({ type }) => type === "leg_lost").length, 1);
  const stored = events.filter((event) => event.type === "agent_said");
  const { extra } = compareHeard(stored, pieces.flatMap((room) => playedWords(room)), []);
  assert.deepEqual(extra, [], "on record, and not heard");
}

/** Says what is to be said to the agent, to the end of the call. */
async function talked(
  { follow }: { readonly follow: (callId: string) => Promise<Transcript> },
  callId: string,
  room: FakeRoom,
): Promise<Transcript> {
  const caller = newCaller({
    ...{ clock: systemClock, stream: room, lines: [LINE], isTheirTurn: true },
    hangUp: () => room.end(),
  });
  const transcript = await follow(callId);
  caller.stop();
  return transcript;
}

Deno.test("calls in rooms outlive their machine: at LiveKit's word at once, else after its burial; without a caller they end", async () => {
  await using it = await setUp();
  const [ada, bob, eve] = await Promise.all(["ada", "bob", "eve"].map(it.join));
  assert.ok(ada && bob && eve);
  await speaks(ada.room);
  const [adaAgain, bobAgain] = [it.nextRoom("ada"), it.nextRoom("bob")];
  await it.machines.signal(it.one.number, "SIGKILL");
  it.livekit.participants.delete(`${ROOM}\neve`);
  const lostAt = systemClock.now();
  assert.equal(await it.tellLeft("ada", it.two), 204);
  const second = await adaAgain;
  assert.ok(systemClock.now() - lostAt < TIMINGS.ttlMs, "nobody waits for the burial");
  assert.ok(ada.room.hasLeft);
  assertGoneOn(await talked(it, ada.callId, second), [ada.room, second]);
  const late = await bobAgain;
  assert.ok(late.startedAtMs - lostAt < TIMINGS.ttlMs + SLACK_MS);
  assertGoneOn(await talked(it, bob.callId, late), [bob.room, late]);
  const { outcome, reason } = await it.follow(eve.callId);
  assert.deepEqual([outcome, reason], ["failed", "machine_lost"]);
});

Deno.test("a machine that may wait no longer hands a call in a room over as well", async () => {
  await using it = await setUp();
  const { callId, room } = await it.join("ada");
  await speaks(room);
  const again = it.nextRoom("ada");
  const drained = await fetch(`${it.two.operatorUrl}/nodes/${it.one.nodeId}/drain`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Authorization: `Bearer ${it.machines.operatorToken}`,
    },
    body: JSON.stringify({ calls: "handOver", deadlineMs: 0 }),
  });
  assert.equal(drained.status, 202);
  await drained.body?.cancel();
  while (!room.hasLeft) await sleep(systemClock, 50);
  assert.equal(await it.tellLeft("ada", it.two), 204);
  const second = await again;
  assertGoneOn(await talked(it, callId, second), [room, second]);
});
