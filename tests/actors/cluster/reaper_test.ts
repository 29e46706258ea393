/** What becomes of calls whose machine is dead: their carrier is asked once, by one machine, and they are ended in time. */

import assert from "node:assert/strict";
import {
  AT_ONCE_MAX,
  type Fate,
  GIVE_UP_MS,
  LOOK_MS,
  type Orphan,
  reaper,
  reaperKind,
  RELEASED_MS,
  TURN_MS,
  turnOf,
} from "@/actors/cluster/reaper.ts";
import { AppError } from "@/lib/errors.ts";
import { silentLog } from "@/lib/log.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const ONE: Orphan = { tenantId: "tenant_1", callId: "call_1", isReleased: false };

async function setUp(
  { turn = 0, recall = () => Promise.resolve("asked") }: {
    turn?: number;
    recall?: (orphan: Orphan) => Promise<Fate>;
  } = {},
) {
  const kit = actorKit();
  const orphans: Orphan[] = [];
  const did: string[] = [];
  kit.system.spawn(reaperKind, "reaper", () =>
    reaper({
      orphans: () => Promise.resolve([...orphans]),
      turnOf: () => turn,
      recall(orphan) {
        did.push(`recall ${orphan.callId} ${kit.clock.now()}`);
        return recall(orphan);
      },
      wrapUp(orphan) {
        did.push(`wrapUp ${orphan.callId} ${kit.clock.now()}`);
        orphans.length = 0;
        return Promise.resolve("ended");
      },
      log: silentLog,
    }));
  await kit.settle();
  return { ...kit, orphans, did };
}

Deno.test("a carrier is asked at the first look, once, and the call is ended if nobody goes on with it", async () => {
  const { clock, orphans, did } = await setUp();
  orphans.push(ONE);
  await clock.advance(LOOK_MS);
  assert.deepEqual(did, [`recall call_1 ${LOOK_MS}`]);
  await clock.advance(GIVE_UP_MS);
  assert.deepEqual(did.slice(1), [`wrapUp call_1 ${LOOK_MS + GIVE_UP_MS}`]);
  await clock.advance(60_000);
  assert.equal(did.length, 2);
});

Deno.test("a call that was handed over is its carrier's to ask for, until it has not", async () => {
  const { clock, orphans, did } = await setUp();
  orphans.push({ ...ONE, isReleased: true });
  await clock.advance(LOOK_MS + RELEASED_MS - 1_000);
  assert.deepEqual(did, []);
  await clock.advance(LOOK_MS);
  assert.match(did[0] ?? "", /^recall call_1 /);
  await clock.advance(GIVE_UP_MS);
  assert.match(did[1] ?? "", /^wrapUp call_1 /);
});

Deno.test("a call that was taken meanwhile is left alone", async () => {
  const { clock, orphans, did } = await setUp();
  orphans.push(ONE);
  await clock.advance(LOOK_MS);
  orphans.length = 0;
  await clock.advance(2 * GIVE_UP_MS);
  assert.equal(did.length, 1);
});

Deno.test("the next machine in turn waits, and steps in", async () => {
  const { clock, orphans, did } = await setUp({ turn: 1 });
  orphans.push(ONE);
  await clock.advance(LOOK_MS + TURN_MS - 1);
  assert.deepEqual(did, []);
  await clock.advance(1);
  assert.deepEqual(did, [`recall call_1 ${LOOK_MS + TURN_MS}`]);
});

Deno.test("a carrier that does not answer is asked again", async () => {
  const away = new AppError("provider_failed", "Away", { retryable: true });
  const { clock, orphans, did } = await setUp({ recall: () => Promise.reject(away) });
  orphans.push(ONE);
  await clock.advance(3 * LOOK_MS);
  assert.equal(did.length, 3);
  await clock.advance(GIVE_UP_MS);
  assert.match(did.at(-1) ?? "", /^wrapUp/);
});

Deno.test("of the living machines each has its own turn, the same on all of them", () => {
  const nodes = [1, 2, 3, 4].map((incarnation) => ({
    nodeId: `m${incarnation}`,
    incarnation,
    address: `10.0.0.${incarnation}:80`,
    region: "here",
    weight: 10,
    load: 0,
    state: incarnation === 4 ? "dead" as const : "active" as const,
  }));
  for (const callId of ["call_1", "call_2", "call_3"]) {
    const turns = nodes.map((node) => turnOf(callId, nodes, node));
    assert.deepEqual(turns.slice(0, 3).toSorted(), [0, 1, 2]);
    assert.equal(turns[3], 3, "behind those that live");
    assert.deepEqual(turns, nodes.map((node) => turnOf(callId, nodes.toReversed(), node)));
  }
});

Deno.test("when a machine is gone, its calls are looked for at once, and no call waits for the next look", async () => {
  const { clock, system, orphans, did } = await setUp();
  for (let nth = 1; nth <= 3 * AT_ONCE_MAX; nth++) orphans.push({ ...ONE, callId: `call_${nth}` });
  await clock.advance(10);
  system.find(reaperKind, "reaper")?.send({ type: "machinesGone" });
  await clock.advance(20);
  assert.equal(did.length, 3 * AT_ONCE_MAX);
  assert.equal(new Set(did).size, did.length, "each is asked for once");
});

Deno.test("no more carriers are asked at a time than that", async () => {
  const waiting: ((fate: Fate) => void)[] = [];
  const { clock, orphans, did } = await setUp({
    recall: () => new Promise((resolve) => waiting.push(resolve)),
  });
  for (let nth = 1; nth <= 3 * AT_ONCE_MAX; nth++) orphans.push({ ...ONE, callId: `call_${nth}` });
  await clock.advance(2 * LOOK_MS);
  assert.equal(did.length, AT_ONCE_MAX);
  for (const answer of waiting.splice(0)) answer("asked");
  await clock.advance(20);
  assert.equal(did.length, 2 * AT_ONCE_MAX);
});
