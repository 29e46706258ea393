/** Time that moves only when a test says so, as fast as the work between two instants allows. */

import { setImmediate } from "node:timers";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { TimerHeap } from "@/lib/timer_heap.ts";

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

/** Starts at 0. */
export function manualClock(options: ManualClockOptions = {}): ManualClock {
  const start = (options.date ?? new Date("2026-01-05T09:00:00Z")).getTime();
  const heap = new TimerHeap();
  let now = 0;
  let yielded = 0;
  let isMoving = false;

  function timer(ms: number, callback: () => void): Cancel {
    const set = heap.add(now + Math.max(0, ms), callback);
    return () => void heap.remove(set);
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
      for (let next = heap.first; next !== undefined && next.at <= end; next = heap.first) {
        heap.remove(next);
        now = Math.max(now, next.at);
        next.callback();
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
      return heap.size;
    },
  };
}
