/** Time: the one place that reads clocks and sets timers, so that tests can replace it. */

import { newTimers } from "./timers.ts";

/** Ends what it stands for; calling it twice does nothing. */
export type Cancel = () => void;

/** Monotonic milliseconds for durations, wall time for records, and timers. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. Fractions are kept. */
  now(): number;
  /** The wall clock, UTC. Only for what is stored or shown, never for a decision on order. */
  date(): Date;
  /** Calls `callback` once, `ms` from now at the earliest. */
  timer(ms: number, callback: () => void): Cancel;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  timer: newTimers({
    now: () => performance.now(),
    arm(ms, callback) {
      const id = setTimeout(callback, ms);
      return () => clearTimeout(id);
    },
  }),
};

/** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const cancel = clock.timer(ms, () => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    });
    const aborted = (): void => {
      cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

/** Aborts `ms` from now; `cancel` disarms it. A deadline that `AbortSignal.timeout` cannot virtualise. */
export function deadline(clock: Clock, ms: number, reason: () => Error): {
  readonly signal: AbortSignal;
  readonly cancel: Cancel;
} {
  const controller = new AbortController();
  const cancel = clock.timer(ms, () => controller.abort(reason()));
  return { signal: controller.signal, cancel };
}
