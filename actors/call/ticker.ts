/** One shared ticker for the playout of all calls of a machine: a timer for each call would cost one each. */

import type { Cancel, Clock } from "@/lib/clock.ts";

/** Coarse, since playout has a lead: each timer costs the loop a system call. */
export const TICK_MS = 20;

/** Calls every callback each TICK_MS while there is one. Callbacks must not throw: guard them. */
export interface Ticker {
  add(callback: (now: number) => void): Cancel;
}

export function newTicker(clock: Clock): Ticker {
  const callbacks = new Set<(now: number) => void>();
  let due = 0;
  let cancel: Cancel | null = null;
  let isTicking = false;

  function tick(): void {
    cancel = null;
    isTicking = true;
    const now = clock.now();
    for (const callback of callbacks) callback(now); // one that is taken out meanwhile is not called
    isTicking = false;
    if (callbacks.size > 0) arm();
  }

  /** The next tick keeps to the grid, so that lateness does not add up; ticks missed by a stall are skipped. */
  function arm(): void {
    const now = clock.now();
    const missed = Math.max(0, Math.ceil((now - due) / TICK_MS) - 1);
    due += (missed + 1) * TICK_MS;
    cancel = clock.timer(due - now, tick);
  }

  return {
    add(callback) {
      callbacks.add(callback);
      if (cancel === null && !isTicking) {
        due = clock.now() - TICK_MS; // an idle ticker ticks at once: the first frame does not wait
        arm();
      }
      return () => {
        callbacks.delete(callback);
        if (callbacks.size > 0) return;
        cancel?.();
        cancel = null;
      };
    },
  };
}
