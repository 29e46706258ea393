/** The manual clock that tests run on. */

import assert from "node:assert/strict";
import { actorKit } from "./actor_kit.ts";
import { manualClock } from "./manual_clock.ts";

Deno.test("timers fire in the order of their instants, and of their setting within one", async () => {
  const clock = manualClock();
  const fired: string[] = [];
  const at = (ms: number, name: string) =>
    clock.timer(ms, () => fired.push(`${name} ${clock.now()}`));
  at(20, "c");
  at(10, "a");
  at(10, "b");
  const cancel = at(15, "never");
  cancel();
  cancel();
  assert.equal(clock.armed, 3);
  await clock.advance(19);
  assert.deepEqual(fired, ["a 10", "b 10"]);
  await clock.advanceTo(20);
  assert.deepEqual(fired, ["a 10", "b 10", "c 20"]);
  assert.equal(clock.date().toISOString(), "2026-01-05T09:00:00.020Z");
});

Deno.test("what a timer's work sets is due in the same advance", async () => {
  const clock = manualClock();
  const ticks: number[] = [];
  const tick = async (): Promise<void> => {
    await Promise.resolve();
    ticks.push(clock.now());
    clock.timer(5, () => void tick());
  };
  clock.timer(5, () => void tick());
  await clock.advance(20);
  assert.deepEqual(ticks, [5, 10, 15, 20]);
});

Deno.test("work that a scheduler put off settles before the next timer", async () => {
  const { system, clock, settle } = actorKit();
  const kind = {
    name: "counter",
    controlMax: 10_000,
    restart: "temporary",
    intensity: { restarts: 0, withinMs: 1 },
    backoff: { minMs: 0, maxMs: 0 },
    poisonTries: 1,
  } as const;
  const counted: number[] = [];
  const ref = system.spawn(kind, "c", () => ({
    init: () => 0,
    on: { one: (n: number) => (counted.push(clock.now()), n + 1) },
  }));
  for (let n = 0; n < 5_000; n++) ref.send({ type: "one" });
  clock.timer(1, () => {});
  await clock.advance(1);
  await settle();
  assert.deepEqual(counted, new Array(5_000).fill(0));
  assert.ok(system.metrics().schedulerYields >= 4);
});

Deno.test("two advances at once are an error of the test", async () => {
  const clock = manualClock();
  const first = clock.advance(10);
  await assert.rejects(clock.advance(10), /moving already/);
  await first;
});
