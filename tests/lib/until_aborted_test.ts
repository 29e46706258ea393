/** Reading under a signal: prompt, and nothing left behind. */

import assert from "node:assert/strict";
import { untilAborted } from "@/lib/until_aborted.ts";

/** Gives `items` and then stays silent; knows whether it was told that nobody listens any more. */
function silentAfter<T>(...items: T[]) {
  let isTold = false;
  const source: AsyncIterable<T> = {
    [Symbol.asyncIterator]: () => ({
      next() {
        const value = items.shift();
        return value === undefined
          ? new Promise(() => {})
          : Promise.resolve({ done: false, value });
      },
      return() {
        isTold = true;
        return Promise.reject(new Error("nobody hears this"));
      },
    }),
  };
  return { source, isTold: () => isTold };
}

async function* finite() {
  yield 1;
  yield 2;
}

Deno.test("a source that is never aborted is read to its end", async () => {
  const items = await Array.fromAsync(untilAborted(finite(), new AbortController().signal));
  assert.deepEqual(items, [1, 2]);
});

Deno.test("an abort ends a wait for a silent source at once, with its reason", async () => {
  const { source, isTold } = silentAfter(1);
  const abort = new AbortController();
  const items = untilAborted(source, abort.signal);
  assert.deepEqual(await items.next(), { done: false, value: 1 });
  const waiting = items.next();
  abort.abort(new Error("hung up"));
  await assert.rejects(waiting, { message: "hung up" });
  assert.ok(isTold());
});

Deno.test("nothing is read under a signal that has aborted already", async () => {
  const { source, isTold } = silentAfter(1);
  const items = untilAborted(source, AbortSignal.abort(new Error("too late")));
  await assert.rejects(items.next(), { message: "too late" });
  assert.ok(isTold());
});

Deno.test("a source that fails passes its error on", async () => {
  // deno-lint-ignore require-yield
  async function* failing(): AsyncGenerator<number> {
    await Promise.resolve();
    throw new Error("line lost");
  }
  const items = untilAborted(failing(), new AbortController().signal);
  await assert.rejects(items.next(), { message: "line lost" });
});

Deno.test("whoever leaves the loop leaves the source told", async () => {
  const { source, isTold } = silentAfter(1, 2);
  for await (const _ of untilAborted(source, new AbortController().signal)) break;
  assert.ok(isTold());
});
