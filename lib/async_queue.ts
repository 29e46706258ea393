/** A bounded queue between a callback world and an `for await` loop: push on one side, iterate on the other. */

export interface AsyncQueue<T> extends AsyncIterable<T> {
  /** Adds an item; past `max` the oldest goes. Nothing after `end`. */
  push(item: T): void;
  /** No more items; what is queued is still given out. */
  end(): void;
  readonly length: number;
  /** Items dropped so far because nobody took them in time. */
  readonly droppedCount: number;
}

/** One consumer at a time. */
export function newAsyncQueue<T>(max: number): AsyncQueue<T> {
  const items: T[] = [];
  let wake: (() => void) | null = null;
  let ended = false;
  let dropped = 0;

  function woken(): Promise<void> {
    return new Promise((resolve) => {
      wake = resolve;
    });
  }

  return {
    push(item) {
      if (ended) return;
      if (items.length === max) {
        items.shift();
        dropped++;
      }
      items.push(item);
      wake?.();
    },
    end() {
      ended = true;
      wake?.();
    },
    get length() {
      return items.length;
    },
    get droppedCount() {
      return dropped;
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (items.length > 0) yield items.shift() as T; // its length was just read
        if (ended) return;
        await woken();
        wake = null;
      }
    },
  };
}
