/** A line with latency: what goes in comes out in order, so much later on the clock. */

import type { Cancel, Clock } from "@/lib/clock.ts";

/** Below any delay that is meant: binary fractions of a millisecond do not add up exactly. */
const ROUNDING_MS = 1e-6;

export interface DelayLineOptions<T> {
  readonly clock: Clock;
  /** Latency of the next item. 0 delivers it before `put` returns, unless an earlier one is still on its way. */
  readonly delayMs: () => number;
  deliver(item: T): void;
}

export interface DelayLine<T> {
  put(item: T): void;
  /** What is on its way is lost. */
  cut(): void;
}

export function newDelayLine<T>(options: DelayLineOptions<T>): DelayLine<T> {
  const { clock, delayMs, deliver } = options;
  const waiting: { readonly item: T; readonly dueAt: number }[] = [];
  let delivering = false;
  let cancel: Cancel | undefined;

  /** Delivers what is due. An item put by a delivery waits for that delivery to return. */
  function drain(): void {
    if (delivering) return;
    delivering = true;
    cancel?.();
    cancel = undefined;
    try {
      while (true) {
        const first = waiting[0];
        if (first === undefined) break;
        const waitMs = first.dueAt - clock.now();
        if (waitMs > ROUNDING_MS) {
          cancel = clock.timer(waitMs, drain);
          break;
        }
        waiting.shift();
        deliver(first.item);
      }
    } finally {
      delivering = false;
    }
  }

  return {
    put(item) {
      const dueAt = Math.max(clock.now() + delayMs(), waiting.at(-1)?.dueAt ?? 0);
      waiting.push({ item, dueAt });
      if (waiting.length === 1) drain();
    },
    cut() {
      waiting.length = 0;
      cancel?.();
      cancel = undefined;
    },
  };
}
