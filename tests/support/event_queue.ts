/** What is to happen, by when: the earliest comes first. A binary heap. */

export interface Due {
  readonly atMs: number;
  readonly run: () => void;
}

export interface EventQueue {
  at(atMs: number, run: () => void): void;
  /** Null when nothing is left. */
  takeFirst(): Due | null;
}

export function newEventQueue(): EventQueue {
  const heap: Due[] = [];
  return {
    at(atMs, run) {
      let index = heap.length;
      while (index > 0) {
        const above = (index - 1) >> 1;
        const parent = heap[above];
        if (parent === undefined || parent.atMs <= atMs) break;
        heap[index] = parent;
        index = above;
      }
      heap[index] = { atMs, run };
    },
    takeFirst() {
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) return null;
      if (heap.length > 0) sink(heap, last);
      return first;
    },
  };
}

/** Puts it where the first one was, and down to its place. */
function sink(heap: Due[], due: Due): void {
  let index = 0;
  for (;;) {
    const left = heap[2 * index + 1];
    const right = heap[2 * index + 2];
    if (left === undefined) break;
    const isRight = right !== undefined && right.atMs < left.atMs;
    const child = isRight ? right : left;
    if (child.atMs >= due.atMs) break;
    heap[index] = child;
    index = 2 * index + (isRight ? 2 : 1);
  }
  heap[index] = due;
}
