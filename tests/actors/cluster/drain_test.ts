/** A drain: what calls are told, and when; what is given up, and in which order. */

import assert from "node:assert/strict";
import { type Drain, type Leaving, leavingAt, newDrain, TURN_MS } from "@/actors/cluster/drain.ts";
import { newHoldings } from "@/actors/cluster/holdings.ts";
import { releaseMovables } from "@/actors/cluster/movables.ts";
import type { DrainOrder } from "@/db/cluster.ts";
import { silentLog } from "@/lib/log.ts";
import { AppError } from "@/lib/errors.ts";
import { machinesKit, pinnedKind } from "@/tests/support/linked_machines.ts";
import { type ManualClock, manualClock } from "@/tests/support/manual_clock.ts";

const WAIT: DrainOrder = { calls: "wait", deadlineMs: 60_000 };
const HAND_OVER: DrainOrder = { calls: "handOver", deadlineMs: 60_000 };

Deno.test("calls are waited for or handed over, by choice and deadline, and stay where nobody else is", () => {
  const rows: readonly [DrainOrder, elapsedMs: number, Leaving][] = [
    [WAIT, 0, "never"],
    [WAIT, 59_999, "never"],
    [WAIT, 60_000, "betweenTurns"],
    [WAIT, 60_000 + TURN_MS - 1, "betweenTurns"],
    [WAIT, 60_000 + TURN_MS, "now"],
    [HAND_OVER, 0, "betweenTurns"],
    [HAND_OVER, 59_999, "betweenTurns"],
    [HAND_OVER, 60_000, "now"],
  ];
  for (const [order, elapsedMs, when] of rows) {
    assert.equal(leavingAt(order, { elapsedMs, hasOthers: true }), when);
    assert.equal(leavingAt(order, { elapsedMs, hasOthers: false }), "never");
  }
});

interface Kit {
  readonly clock: ManualClock;
  readonly drain: Drain;
  /** As they changed. */
  readonly told: string[];
  readonly now: { calls: number; hasOthers: boolean };
}

function setUp(): Kit {
  const clock = manualClock();
  const told: string[] = [];
  const now = { calls: 1, hasOthers: true };
  const drain = newDrain({
    begin: () => void told.push("begin"),
    callCount: () => now.calls,
    hasOthers: () => now.hasOthers,
    leave: (when) => told.at(-1) === when || told.push(when),
    clock,
    log: silentLog,
  });
  return { clock, drain, told, now };
}

Deno.test("a drain begins once, follows its deadline, and ends with the last call", async () => {
  const { clock, drain, told, now } = setUp();
  drain.start(HAND_OVER);
  const emptied = drain.emptied(280_000);
  await clock.advance(61_000);
  assert.deepEqual(told, ["begin", "betweenTurns", "now"]);
  now.calls = 0;
  await clock.advance(500);
  await emptied;
  assert.equal(clock.armed, 0);
});

Deno.test("calls are told to stay when the last other machine goes, and to leave when one comes", async () => {
  const { clock, drain, told, now } = setUp();
  drain.start(HAND_OVER);
  await clock.advance(1_000);
  now.hasOthers = false;
  await clock.advance(1_000);
  now.hasOthers = true;
  await clock.advance(1_000);
  assert.deepEqual(told, ["begin", "betweenTurns", "never", "betweenTurns"]);
  drain.stop();
  await clock.settle();
  assert.equal(clock.armed, 0);
});

Deno.test("what stands in its row begins a drain, and changes one that has begun; no word of how changes nothing", async () => {
  const { clock, drain, told } = setUp();
  drain.told(null);
  drain.told(null);
  await clock.advance(1_000);
  assert.deepEqual([told, drain.order?.calls], [["begin"], "wait"]);
  drain.told(HAND_OVER);
  await clock.advance(59_000);
  drain.told(HAND_OVER); // the same, at every look
  await clock.advance(1_500);
  assert.deepEqual(told, ["begin", "betweenTurns", "now"]);
  drain.told(WAIT);
  await clock.advance(1_000);
  assert.equal(told.at(-1), "never", "a newer order holds, from its own beginning");
  drain.stop();
  await clock.settle();
});

Deno.test("movable actors stop first, then their rows are given up in one statement; one that hangs keeps its row", async () => {
  const clock = manualClock();
  const holdings = newHoldings();
  const boot = { nodeId: "one", incarnation: 7 };
  holdings.joined(boot);
  for (const [kind, id] of [["campaign", "a"], ["tenant", "b"]] as const) {
    holdings.take({ kind, id, epoch: 1, owner: boot });
  }
  const log: string[] = [];
  const alive = new Set(["campaign/a", "tenant/b"]);
  const released = releaseMovables({
    kinds: ["campaign", "tenant"],
    system: {
      list: (kind) =>
        [...alive].filter((it) => it.startsWith(`${kind}/`))
          .map((it) => ({ kind, id: it.slice(-1) })) as never, // the rest of a summary is not read
      count: (kind = "") => [...alive].filter((it) => it.startsWith(kind)).length,
      stop(kind, id) {
        log.push(`stop ${kind}/${id}`);
        if (kind === "campaign") clock.timer(50, () => void alive.delete("campaign/a"));
        return true;
      },
    },
    holdings,
    directory: {
      releaseKinds(_boot, kinds) {
        log.push(`release ${kinds}, alive ${[...alive]}`);
        return Promise.resolve(1);
      },
    },
    clock,
  });
  await clock.advance(6_000);
  assert.equal(await released, 1);
  assert.deepEqual(log, ["stop campaign/a", "stop tenant/b", "release campaign, alive tenant/b"]);
  assert.equal(holdings.fenceOf({ kind: "campaign", id: "a" }), null);
  assert.notEqual(holdings.fenceOf({ kind: "tenant", id: "b" }), null);
});

Deno.test("what is asked of another machine fails at once when this one stops, and what is asked then as well", async () => {
  const kit = machinesKit();
  const [one, two] = [kit.machine("one"), kit.machine("two")];
  two.pin("x");
  await kit.look();
  await kit.clock.advance(200); // there is a link
  const far = one.neighbours.router.ref(pinnedKind, "x");
  const failed: unknown[] = [];
  const ask = (type: "sum" | "wait"): Promise<unknown> =>
    far.ask<number>((reply) => ({ type, reply })).catch((error) => failed.push(error));
  const sum = far.ask<number>((reply) => ({ type: "sum", reply }));
  await kit.clock.settle();
  assert.equal(await sum, 0);

  const asked = ask("wait"); // it is not answered
  await kit.clock.settle();
  assert.deepEqual(two.handled, ["x sum", "x wait"]);
  const stopped = one.system.shutdown();
  const last = ask("sum"); // as last words do
  const sent = far.send({ type: "add", amount: 1 });
  await kit.clock.settle();
  await stopped;
  await Promise.all([asked, last]);
  assert.equal(kit.clock.now(), 200, "no time has passed");
  assert.deepEqual(failed.map((error) => error instanceof AppError && error.code), [
    ...["draining", "unknown_outcome"],
  ]);
  assert.equal(sent, false);
  const ended = two.system.shutdown();
  await kit.clock.settle();
  await ended;
});
