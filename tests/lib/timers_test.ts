/** One timer of the runtime for all: in order, none early, none lost, nothing armed when nothing is set. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Cancel } from "@/lib/clock.ts";
import { systemClock } from "@/lib/clock.ts";
import { newTimers } from "@/lib/timers.ts";

/** A runtime whose time the test moves; at most one timer is armed with it. */
function source() {
  let now = 0;
  let armed: { readonly at: number; readonly callback: () => void } | null = null;
  return {
    timerSource: {
      now: () => now,
      arm(ms: number, callback: () => void): Cancel {
        assert.equal(armed, null, "two at once");
        assert.equal(ms, Math.ceil(ms));
        const mine = armed = { at: now + ms, callback };
        return () => {
          if (armed === mine) armed = null;
        };
      },
    },
    get armed() {
      return armed;
    },
    /** Fires what is armed up to there, as late as `lateMs`. */
    move(to: number, lateMs = 0): void {
      while (armed !== null && armed.at <= to) {
        const { at, callback } = armed;
        now = Math.max(now, at + lateMs);
        armed = null;
        callback();
      }
      now = Math.max(now, to);
    },
  };
}

type Act =
  | { readonly type: "set"; readonly ms: number }
  | { readonly type: "cancel"; readonly index: number }
  | { readonly type: "move"; readonly ms: number; readonly lateMs: number };

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    type: fc.constant("set" as const),
    ms: fc.double({ min: -1, max: 50, noNaN: true }),
  }),
  fc.record({ type: fc.constant("cancel" as const), index: fc.nat(40) }),
  fc.record({
    type: fc.constant("move" as const),
    ms: fc.double({ min: 0, max: 30, noNaN: true }),
    lateMs: fc.double({ min: 0, max: 20, noNaN: true }),
  }),
);

Deno.test("timers fire once each in the order of their times, never early, and never after they were cancelled", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
      const runtime = source();
      const { timerSource } = runtime;
      const timer = newTimers(timerSource);
      const set: { at: number; state: "set" | "fired" | "cancelled"; cancel: Cancel }[] = [];
      let lastAt = -Infinity;
      let lastNow = -Infinity;
      for (const it of acts) {
        if (it.type === "set") {
          const mine: (typeof set)[number] = {
            at: timerSource.now() + Math.max(0, it.ms),
            state: "set",
            cancel: timer(it.ms, () => {
              assert.equal(mine.state, "set");
              const now = timerSource.now();
              assert(now >= mine.at, "early");
              if (now === lastNow) assert(mine.at >= lastAt, "out of order");
              [lastAt, lastNow] = [mine.at, now];
              mine.state = "fired";
            }),
          };
          set.push(mine);
        } else if (it.type === "cancel") {
          const mine = set[it.index];
          mine?.cancel();
          if (mine?.state === "set") mine.state = "cancelled";
        } else runtime.move(timerSource.now() + it.ms, it.lateMs);
        const waiting = set.filter(({ state }) => state === "set");
        assert.equal(runtime.armed !== null, waiting.length > 0);
      }
      runtime.move(Infinity);
      assert(set.every(({ state }) => state !== "set"), "lost");
    }),
    { numRuns: 500, seed: 20261128 },
  );
});

Deno.test("a timer that is set for no time while others fire waits for the loop's next turn", () => {
  const runtime = source();
  const timer = newTimers(runtime.timerSource);
  const fired: string[] = [];
  timer(5, () => {
    fired.push("first");
    timer(0, () => fired.push("again"));
  });
  timer(5, () => fired.push("second"));
  assert.equal(runtime.armed?.at, 5);
  runtime.move(4);
  assert.deepEqual(fired, []);
  runtime.move(5);
  assert.deepEqual(fired, ["first", "second", "again"]);
  assert.equal(runtime.armed, null);
});

Deno.test("a callback that throws keeps none of the others from firing", () => {
  const runtime = source();
  const timer = newTimers(runtime.timerSource);
  const fired: string[] = [];
  timer(1, () => {
    throw new Error("Out of order");
  });
  timer(1, () => fired.push("second"));
  assert.throws(() => runtime.move(1), /Out of order/);
  runtime.move(1);
  assert.deepEqual(fired, ["second"]);
});

Deno.test("the clock of the system fires in order and leaves nothing armed", async () => {
  const fired: number[] = [];
  const never = systemClock.timer(60_000, () => fired.push(60_000));
  await new Promise<void>((resolve) => {
    systemClock.timer(3.5, () => {
      fired.push(3.5);
      resolve();
    });
    systemClock.timer(1, () => fired.push(1));
  });
  never(); // else the sanitizer of this test would find a timer
  assert.deepEqual(fired, [1, 3.5]);
});
