/** A bounded queue between a callback world and an `for await` loop: push on one side, iterate on the other. */

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
}

/**
 * One consumer at a time. Written out, not an async generator: that costs three turns of the microtask queue an
 * item, and it runs for each piece of each call's audio. A consumer that returns takes nothing any more.
 */
export function newAsyncQueue<T>(max: number): AsyncQueue<T> {
  const items: T[] = [];
  let waiting: ((result: IteratorResult<T>) => void) | null = null;
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
      if (ended || give({ done: false, value: item })) return;
      if (items.length === max) {
        items.shift();
        dropped++;
      }
      items.push(item);
    },
    end() {
      ended = true;
      give(DONE);
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
