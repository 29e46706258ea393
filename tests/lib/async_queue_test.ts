/** A queue between callbacks and a loop: its order, its bound, its end. */

import assert from "node:assert/strict";
import { drain, newAsyncQueue, type Taker } from "@/lib/async_queue.ts";

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

/** What a taker is told, in its order. */
function told<T>(until: (item: T) => void = () => {}): { said: unknown[]; taker: Taker<T> } {
  const said: unknown[] = [];
  return {
    said,
    taker: {
      take(item) {
        said.push(item);
        until(item);
      },
      ended: () => void said.push("ended"),
      failed: (error) => void said.push(error),
    },
  };
}

/** Microtasks, as many as a loop over a generator takes. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

Deno.test("a queue hands on what waits, then each item as it is pushed, and its end once", async () => {
  const queue = newAsyncQueue<number>(10);
  queue.push(1);
  const { said, taker } = told<number>();
  drain(queue, taker);
  assert.deepEqual(said, [], "nothing before the one who drains it has what it returns");
  await settled();
  assert.deepEqual(said, [1]);
  queue.push(2);
  assert.deepEqual(said, [1, 2], "within the push");
  queue.end();
  queue.end();
  queue.push(3);
  assert.deepEqual(said, [1, 2, "ended"]);
});

Deno.test("what comes once a drain was left waits for the next", async () => {
  const queue = newAsyncQueue<number>(10);
  const first = told<number>();
  const leave = drain(queue, first.taker);
  await settled();
  queue.push(1);
  leave();
  queue.push(2);
  queue.end();
  const second = told<number>();
  drain(queue, second.taker);
  await settled();
  assert.deepEqual([first.said, second.said], [[1], [2, "ended"]]);
});

for (const kind of ["queue", "generator"]) {
  Deno.test(`a taker that throws is told so once, and gets no more: ${kind}`, async () => {
    const error = new Error("It will not have it");
    const queue = newAsyncQueue<number>(10);
    let isLeft = false;
    async function* items(): AsyncGenerator<number> {
      try {
        for (const item of [1, 2, 3]) yield await Promise.resolve(item);
      } finally {
        isLeft = true;
      }
    }
    const { said, taker } = told<number>((item) => {
      if (item === 2) throw error;
    });
    drain(kind === "queue" ? queue : items(), taker);
    await settled();
    for (const item of [1, 2, 3]) queue.push(item);
    queue.end();
    await settled();
    assert.deepEqual(said, [1, 2, error]);
    assert.equal(isLeft, kind === "generator");
  });
}

Deno.test("a source that throws has failed, and one that ends has ended", async () => {
  const error = new Error("It broke off");
  async function* items(): AsyncGenerator<number> {
    yield await Promise.resolve(1);
    throw error;
  }
  const broken = told<number>();
  drain(items(), broken.taker);
  const whole = told<number>();
  drain(
    (async function* () {
      yield await Promise.resolve(1);
    })(),
    whole.taker,
  );
  await settled();
  assert.deepEqual([broken.said, whole.said], [[1, error], [1, "ended"]]);
});
