/** A bounded queue between a callback world and an `for await` loop: push on one side, iterate on the other. */

import type { Cancel } from "./clock.ts";

export interface AsyncQueue<T> extends AsyncIterable<T> {
  /** Adds an item; past `max` the oldest goes. Nothing after `end`. */
  push(item: T): void;
  /** No more items; what is queued is still given out. */
  end(): void;
  readonly length: number;
  /** What nobody has taken yet, oldest first. */
  readonly waiting: readonly T[];
  /** Items dropped so far because nobody took them in time. */
  readonly droppedCount: number;
  /**
   * In place of a loop: `take` gets what waits, now, and from then on each item within its `push`; `ended` is called
   * once behind the last. Neither may throw. Until it is cancelled; what comes then waits for the next one.
   */
  flow(take: (item: T) => void, ended: () => void): Cancel;
}

/**
 * One consumer at a time. Written out, not an async generator: that costs three turns of the microtask queue an
 * item, and it runs for each piece of each call's audio. A consumer that returns takes nothing any more.
 */
export function newAsyncQueue<T>(max: number): AsyncQueue<T> {
  const items: T[] = [];
  let waiting: ((result: IteratorResult<T>) => void) | null = null;
  let flowing: { take(item: T): void; ended(): void } | null = null;
  let ended = false;
  let dropped = 0;

  function give(result: IteratorResult<T>): boolean {
    if (waiting === null) return false;
    const resolve = waiting;
    waiting = null;
    resolve(result);
    return true;
  }

  return {
    push(item) {
      if (ended) return;
      if (flowing !== null) return flowing.take(item);
      if (give({ done: false, value: item })) return;
      if (items.length === max) {
        items.shift();
        dropped++;
      }
      items.push(item);
    },
    end() {
      if (ended) return;
      ended = true;
      give(DONE);
      flowing?.ended();
    },
    get length() {
      return items.length;
    },
    get waiting() {
      return items;
    },
    get droppedCount() {
      return dropped;
    },
    flow(take, over) {
      const mine = flowing = { take, ended: over };
      while (flowing === mine && items.length > 0) take(items.shift() as T); // its length was just read
      if (flowing === mine && ended) over();
      return () => {
        if (flowing === mine) flowing = null;
      };
    },
    [Symbol.asyncIterator]() {
      let hasReturned = false;
      return {
        next() {
          if (hasReturned) return Promise.resolve(DONE);
          if (items.length > 0) {
            return Promise.resolve({ done: false, value: items.shift() as T }); // its length was just read
          }
          if (ended) return Promise.resolve(DONE);
          return new Promise((resolve) => {
            waiting = resolve;
          });
        },
        return() {
          if (!hasReturned) give(DONE);
          hasReturned = true;
          return Promise.resolve(DONE);
        },
      };
    },
  };
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** What takes the items of a source. None of it may be called any more once it is cancelled. */
export interface Taker<T> {
  /** What it throws is `failed`, and ends it. */
  take(item: T): void;
  ended(): void;
  /** The source threw, or `take` did, or `ended`. */
  failed(error: unknown): void;
}

/**
 * Takes all of a source, from the next turn of the microtask queue on. As a loop would; but a queue of ours hands an
 * item over within its `push`: of a call's audio each piece would cost two more turns, and their promises.
 */
export function drain<T>(source: AsyncIterable<T>, { take, ended, failed }: Taker<T>): Cancel {
  let isOver = false;
  let stop: Cancel = () => {};

  function guarded(step: () => void): void {
    if (isOver) return;
    try {
      step();
    } catch (error) {
      lost(error);
    }
  }

  function lost(error: unknown): void {
    over();
    failed(error);
  }

  function over(): void {
    isOver = true;
    stop();
  }

  function finish(): void {
    guarded(() => {
      over();
      ended();
    });
  }

  async function loop(): Promise<void> {
    const items = source[Symbol.asyncIterator]();
    stop = () => void items.return?.().catch(() => {}); // nobody listens to it any more
    for (;;) {
      const { done, value } = await items.next();
      if (isOver) return;
      if (done) {
        stop = () => {};
        return finish();
      }
      guarded(() => take(value));
    }
  }

  queueMicrotask(() => {
    if (isOver) return;
    if (!isFlowing(source)) {
      return void loop().catch((error) => {
        if (!isOver) lost(error);
      });
    }
    stop = source.flow((item) => guarded(() => take(item)), finish);
    if (isOver) stop(); // it was over before it could be stopped
  });
  return over;
}

type Flowing<T> = AsyncIterable<T> & Pick<AsyncQueue<T>, "flow">;

function isFlowing<T>(source: AsyncIterable<T>): source is Flowing<T> {
  return "flow" in source;
}

/** The same items; `told` of each as it is taken. It must not throw. */
export function toldOf<T>(source: AsyncIterable<T>, told: (item: T) => void): AsyncIterable<T> {
  const again: AsyncIterable<T> = {
    [Symbol.asyncIterator]() {
      const items = source[Symbol.asyncIterator]();
      return {
        async next() {
          const result = await items.next();
          if (result.done !== true) told(result.value);
          return result;
        },
        return: async () => await items.return?.() ?? DONE,
      };
    },
  };
  if (!isFlowing(source)) return again;
  const flowing: Flowing<T> = {
    ...again,
    flow: (take, ended) =>
      source.flow((item) => {
        told(item);
        take(item);
      }, ended),
  };
  return flowing;
}
