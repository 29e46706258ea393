/** A queue between callbacks and a loop: its order, its bound, its end. */

import assert from "node:assert/strict";
import { newAsyncQueue } from "@/lib/async_queue.ts";

Deno.test("items come out in order, those that wait and those that come later", async () => {
  const queue = newAsyncQueue<number>(10);
  queue.push(1);
  queue.push(2);
  const taken: number[] = [];
  const reading = (async () => {
    for await (const item of queue) taken.push(item);
  })();
  await Promise.resolve();
  queue.push(3);
  queue.end();
  await reading;
  assert.deepEqual(taken, [1, 2, 3]);
});

Deno.test("a full queue drops its oldest and counts it", async () => {
  const queue = newAsyncQueue<number>(2);
  for (const item of [1, 2, 3, 4]) queue.push(item);
  assert.deepEqual([queue.length, queue.droppedCount], [2, 2]);
  queue.end();
  assert.deepEqual(await Array.fromAsync(queue), [3, 4]);
});

Deno.test("nothing is taken after the end, and a second end does no harm", async () => {
  const queue = newAsyncQueue<number>(2);
  queue.end();
  queue.push(1);
  queue.end();
  assert.deepEqual(await Array.fromAsync(queue), []);
});

Deno.test("one who leaves while they wait takes nothing with them: the next gets it", async () => {
  const queue = newAsyncQueue<number>(10);
  const first = queue[Symbol.asyncIterator]();
  const waiting = first.next();
  await first.return?.();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  queue.push(1);
  assert.deepEqual(queue.waiting, [1]);
  assert.deepEqual(await first.next(), { done: true, value: undefined });
  queue.end();
  assert.deepEqual(await Array.fromAsync(queue), [1]);
});
