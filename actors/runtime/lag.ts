/** How late the event loop runs our timers, by a ticker of our own: Deno's meters return zero. */

import type { Cancel, Clock } from "@/lib/clock.ts";

const TICK_MS = 20;
/** Upper bounds in milliseconds; what is later falls into the last, open one. */
export const LAG_BUCKETS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] as const;

/** A histogram. `counts[i]` is how many ticks were at most `LAG_BUCKETS_MS[i]` late; one more for the rest. */
export interface Lag {
  readonly counts: readonly number[];
  readonly sumMs: number;
  readonly maxMs: number;
}

export class LagWatch {
  readonly #clock: Clock;
  readonly #counts = new Array<number>(LAG_BUCKETS_MS.length + 1).fill(0);
  #sumMs = 0;
  #maxMs = 0;
  #cancel: Cancel;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#cancel = this.#next();
  }

  read(): Lag {
    return { counts: [...this.#counts], sumMs: this.#sumMs, maxMs: this.#maxMs };
  }

  stop(): void {
    this.#cancel();
  }

  #next(): Cancel {
    const due = this.#clock.now() + TICK_MS;
    return this.#clock.timer(TICK_MS, () => {
      this.#count(Math.max(0, this.#clock.now() - due));
      this.#cancel = this.#next();
    });
  }

  #count(lateMs: number): void {
    const bucket = LAG_BUCKETS_MS.findIndex((bound) => lateMs <= bound);
    const index = bucket === -1 ? LAG_BUCKETS_MS.length : bucket;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sumMs += lateMs;
    this.#maxMs = Math.max(this.#maxMs, lateMs);
  }
}
