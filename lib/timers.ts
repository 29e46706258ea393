/**
 * The timers of the process behind a single timer of the runtime. Each of the runtime's own makes half a kilobyte of
 * objects, some of which outlive a collection: a twentieth of all that a hundred calls allocate (`bench calls`).
 */

import type { Cancel } from "./clock.ts";
import { TimerHeap } from "./timer_heap.ts";

/** Where the one timer comes from. */
export interface TimerSource {
  /** Milliseconds, with fractions; never goes back. */
  now(): number;
  /** Calls back once, `ms` (whole, at least 0) from now at the earliest. */
  arm(ms: number, callback: () => void): Cancel;
}

/** Returns a `timer` as a `Clock` has it. Nothing is armed while none is set, so that an idle process can end. */
export function newTimers(source: TimerSource): (ms: number, callback: () => void) => Cancel {
  const heap = new TimerHeap();
  /** When the runtime will call; that of a timer that has been cancelled is left to come. */
  let armedFor = Infinity;
  let disarm: Cancel = () => {};
  let isFiring = false;

  function arm(): void {
    const at = heap.first?.at ?? Infinity;
    if (isFiring || (at >= armedFor && at !== Infinity)) return;
    disarm();
    armedFor = at;
    if (at === Infinity) disarm = () => {};
    else disarm = source.arm(Math.max(0, Math.ceil(at - source.now())), fire);
  }

  /** Calls what is due now, and not what that sets. When one throws, the runtime is told, and the others come at once. */
  function fire(): void {
    armedFor = Infinity;
    isFiring = true;
    const now = source.now();
    const { nextOrder } = heap;
    try {
      for (let next = heap.first; next !== undefined && next.at <= now; next = heap.first) {
        if (next.order >= nextOrder) break; // set just now, for no time: the loop has its turn before
        heap.remove(next);
        next.callback();
      }
    } finally {
      isFiring = false;
      arm();
    }
  }

  return (ms, callback) => {
    const timer = heap.add(source.now() + Math.max(0, ms), callback);
    arm();
    return () => {
      if (heap.remove(timer) && heap.size === 0) arm();
    };
  };
}
