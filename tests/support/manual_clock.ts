/** Time that moves only when a test says so, as fast as the work between two instants allows. */

import { setImmediate } from "node:timers";
import type { Cancel, Clock } from "@/lib/clock.ts";

export interface ManualClock extends Clock {
  /** Moves on by `ms`: fires what falls due in order, and lets the work that follows settle before the next. */
  advance(ms: number): Promise<void>;
  /** As `advance`, to an instant of `now()`. */
  advanceTo(ms: number): Promise<void>;
  /** Lets everything run that needs no time to pass: microtasks, and actors whose scheduler has yielded. */
  settle(): Promise<void>;
  /** A scheduler's `yieldTo`, so that `settle` knows that it is to be called again. */
  yieldTo(resume: () => void): void;
  /** How many timers are armed. */
  readonly armed: number;
}

export interface ManualClockOptions {
  /** Wall time at the start; 2026-01-05 (a Monday) 09:00 UTC when absent. */
  readonly date?: Date;
}

interface Timer {
  readonly at: number;
  /** Timers of one instant fire in the order in which they were set. */
  readonly order: number;
  /** Null once cancelled. */
  callback: (() => void) | null;
}

/** Starts at 0. */
export function manualClock(options: ManualClockOptions = {}): ManualClock {
  const start = (options.date ?? new Date("2026-01-05T09:00:00Z")).getTime();
  const heap: Timer[] = [];
  let now = 0;
  let order = 0;
  let armed = 0;
  let yielded = 0;
  let isMoving = false;

  function timer(ms: number, callback: () => void): Cancel {
    const set: Timer = { at: now + Math.max(0, ms), order: order++, callback };
    armed++;
    push(heap, set);
    return () => {
      if (set.callback === null) return;
      set.callback = null;
      armed--;
    };
  }

  function yieldTo(resume: () => void): void {
    yielded++;
    setImmediate(() => {
      yielded--;
      resume();
    });
  }

  async function settle(): Promise<void> {
    do await new Promise<void>((resolve) => setImmediate(resolve)); while (yielded > 0);
  }

  async function advanceTo(end: number): Promise<void> {
    if (isMoving) throw new Error("The clock is moving already: await the advance before");
    isMoving = true;
    try {
      await settle();
      for (let next = heap[0]; next !== undefined && next.at <= end; next = heap[0]) {
        pop(heap);
        const { callback } = next;
        if (callback === null) continue;
        next.callback = null;
        armed--;
        now = Math.max(now, next.at);
        callback();
        await settle();
      }
      now = Math.max(now, end);
    } finally {
      isMoving = false;
    }
  }

  return {
    now: () => now,
    date: () => new Date(start + now),
    timer,
    advance: (ms) => advanceTo(now + ms),
    advanceTo,
    settle,
    yieldTo,
    get armed() {
      return armed;
    },
  };
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Puts a timer into the binary heap. */
function push(heap: Timer[], timer: Timer): void {
  let index = heap.length;
  while (index > 0) {
    const above = (index - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || !isBefore(timer, parent)) break;
    heap[index] = parent;
    index = above;
  }
  heap[index] = timer;
}

/** Takes the earliest timer out of the heap. */
function pop(heap: Timer[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    const left = heap[2 * index + 1];
    if (left === undefined) break;
    const right = heap[2 * index + 2];
    const isRight = right !== undefined && isBefore(right, left);
    const child = isRight ? right : left;
    if (isBefore(last, child)) break;
    heap[index] = child;
    index = 2 * index + (isRight ? 2 : 1);
  }
  heap[index] = last;
}
