/** Latency: every item late by the same time, and none holds up the next. */

import assert from "node:assert/strict";
import { sleep } from "@/lib/clock.ts";
import { delayed } from "@/lib/providers/delayed.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

function setUp() {
  const clock = manualClock();
  const abort = new AbortController();
  return { clock, abort, options: { clock, ms: 50, signal: abort.signal } };
}

Deno.test("an item comes its delay after the source gave it, though others wait before it", async () => {
  const { clock, options } = setUp();
  async function* every20Ms() {
    for (const item of ["a", "b", "c"]) {
      await sleep(clock, 20);
      yield item;
    }
  }
  const times: [string, number][] = [];
  const reading = (async () => {
    for await (const item of delayed(every20Ms(), options)) times.push([item, clock.now()]);
  })();
  await clock.advance(1_000);
  await reading;
  assert.deepEqual(times, [["a", 70], ["b", 90], ["c", 110]]);
});

Deno.test("an abort does not wait for the delay", async () => {
  const { clock, abort, options } = setUp();
  async function* one() {
    yield "a";
  }
  const waiting = delayed(one(), options).next();
  await clock.advance(10);
  assert.equal(clock.armed, 1);
  abort.abort(new Error("hung up"));
  await assert.rejects(waiting, { message: "hung up" });
  assert.equal(clock.armed, 0);
});

Deno.test("a source that fails is heard out first", async () => {
  const { clock, options } = setUp();
  async function* failing() {
    yield "a";
    throw new Error("line lost");
  }
  const items = delayed(failing(), options);
  const first = items.next();
  await clock.advance(50);
  assert.deepEqual(await first, { done: false, value: "a" });
  await assert.rejects(items.next(), { message: "line lost" });
});

Deno.test("a source is read ahead by 64 items and no further", async () => {
  const { clock, options } = setUp();
  let given = 0;
  async function* endless() {
    for (;;) yield given++;
  }
  const items = delayed(endless(), options);
  const first = items.next();
  await clock.advance(50);
  assert.deepEqual(await first, { done: false, value: 0 });
  assert.equal(given, 64);
  for (let i = 1; i < 200; i++) {
    const next = items.next();
    await clock.advance(50);
    assert.deepEqual(await next, { done: false, value: i });
  }
});
