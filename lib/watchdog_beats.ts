/** The beats of the main thread, as the watchdog sees them: when they have stayed away for too long. */

import type { Clock } from "./clock.ts";

export interface ToWatchdog {
  /** One number that the main thread changes. */
  readonly beats: Int32Array<SharedArrayBuffer>;
  readonly stuckMs: number;
}

/** Looks within the time that is borne. Counted, not timed: a process that was stopped whole is not stuck. */
export const TICKS = 10;

/** Calls `stuck` once so many looks in a row have seen the same count. */
export function watchBeats(
  { beats, stuckMs }: ToWatchdog,
  { clock, stuck }: { readonly clock: Clock; readonly stuck: () => void },
): void {
  let last = Atomics.load(beats, 0);
  let misses = 0;
  function look(): void {
    const now = Atomics.load(beats, 0);
    misses = now === last ? misses + 1 : 0;
    last = now;
    if (misses >= TICKS) return stuck();
    clock.timer(stuckMs / TICKS, look);
  }
  clock.timer(stuckMs / TICKS, look);
}
