/** The shared ticker: on its grid, only while somebody listens, and never for one who left. */

import assert from "node:assert/strict";
import { newTicker, TICK_MS } from "@/actors/call/ticker.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

function setUp() {
  const clock = manualClock();
  const ticks: number[] = [];
  return { clock, ticker: newTicker(clock), ticks, note: () => void ticks.push(clock.now()) };
}

Deno.test("a ticker ticks at once and then on its grid, without drift", async () => {
  const { clock, ticker, ticks, note } = setUp();
  await clock.advance(3);
  const stop = ticker.add(note);
  await clock.advance(10_000);
  assert.deepEqual(ticks.slice(0, 3), [3, 23, 43]);
  assert.equal(ticks.length, 10_000 / TICK_MS + 1);
  assert.equal(ticks.at(-1), 10_003);
  stop();
});

Deno.test("a ticker that is late keeps to its grid, and skips the ticks that it missed", () => {
  const timers: { at: number; callback: () => void }[] = [];
  let now = 0;
  const ticker = newTicker({
    now: () => now,
    date: () => new Date(0),
    timer(ms, callback) {
      const timer = { at: now + ms, callback };
      timers.push(timer);
      return () => timers.splice(timers.indexOf(timer), 1);
    },
  });
  /** The event loop comes to the next timer, so much too late. */
  function fire(lateMs: number): void {
    const timer = timers.shift();
    assert.ok(timer);
    now = timer.at + lateMs;
    timer.callback();
  }
  const ticks: number[] = [];
  const stop = ticker.add(() => ticks.push(now));
  for (const lateMs of [0, 2, 1, 0, 50, 0, 0]) fire(lateMs);
  assert.deepEqual(ticks, [0, 22, 41, 60, 130, 140, 160]);
  stop();
  assert.equal(timers.length, 0);
});

Deno.test("a ticker has no timer while nobody listens", async () => {
  const { clock, ticker, ticks, note } = setUp();
  assert.equal(clock.armed, 0);
  const stop = ticker.add(note);
  assert.equal(clock.armed, 1);
  await clock.advance(4 * TICK_MS);
  stop();
  stop();
  assert.equal(clock.armed, 0);
  await clock.advance(4 * TICK_MS);
  assert.equal(ticks.length, 5);
});

Deno.test("a ticker has one timer for all who listen", async () => {
  const { clock, ticker, note } = setUp();
  const stops = Array.from({ length: 100 }, () => ticker.add(() => note()));
  await clock.advance(2 * TICK_MS + 2);
  assert.equal(clock.armed, 1);
  for (const stop of stops) stop();
  assert.equal(clock.armed, 0);
});

Deno.test("a ticker does not call one who was taken out, not even within the same tick", async () => {
  const { clock, ticker, ticks, note } = setUp();
  const stopFirst = ticker.add(() => stopSecond());
  const stopSecond = ticker.add(note);
  await clock.advance(20);
  assert.deepEqual(ticks, []);
  stopFirst();
  assert.equal(clock.armed, 0);
});

Deno.test("a ticker that is stopped by its last listener within a tick can be used again", async () => {
  const { clock, ticker, ticks, note } = setUp();
  const stop = ticker.add(() => {
    note();
    stop();
  });
  await clock.advance(20);
  assert.deepEqual(ticks, [0]);
  assert.equal(clock.armed, 0);
  const again = ticker.add(note);
  await clock.advance(TICK_MS);
  assert.deepEqual(ticks, [0, 20, 20 + TICK_MS]);
  again();
});

Deno.test("a ticker to which one is added within a tick has still one timer", async () => {
  const { clock, ticker, ticks, note } = setUp();
  let stopLate: (() => void) | null = null;
  const stop = ticker.add(() => {
    stop();
    stopLate = ticker.add(note);
  });
  await clock.advance(0);
  assert.equal(clock.armed, 1);
  await clock.advance(2 * TICK_MS + 1);
  assert.equal(clock.armed, 1);
  assert.ok(ticks.length >= 2);
  // Set by the callback, which the compiler cannot see.
  (stopLate as (() => void) | null)?.();
  assert.equal(clock.armed, 0);
});
