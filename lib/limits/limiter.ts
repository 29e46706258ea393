/** A limiter: token buckets by name and key. */

import type { LimiterMetrics } from "./tally.ts";

/** How fast something may be done: `capacity` at once, and `perSecond` from then on. */
export interface Bucket {
  /** `login`, `read`, `write`, `dial`. One name has one capacity and rate for one key. */
  readonly name: string;
  readonly capacity: number;
  readonly perSecond: number;
  /**
   * True: while the shared count is out of reach, all machines together still allow no more than the
   * capacity: each its whole tokens of 1/N, and none where that is less than one. False: each at least one.
   */
  readonly isStrict: boolean;
}

export interface Verdict {
  readonly isAllowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Until enough has come back for the same cost; 0 when it was allowed. */
  readonly retryAfterS: number;
  /** Until the bucket is full again. */
  readonly resetS: number;
}

/** Whole tokens of one bucket. A cost above the capacity counts as the capacity, or it could never be met. */
export interface Want {
  readonly bucket: Bucket;
  readonly key: string;
  /** 1 when absent. */
  readonly cost?: number;
}

export interface Limiter {
  /** Takes `cost` tokens, or none. Never rejects: without its store it decides by itself. */
  take(bucket: Bucket, key: string, cost?: number): Promise<Verdict>;
  /**
   * Takes from every bucket or, when one of them has too little, from none. A verdict for each, by what
   * it has itself. No bucket stands there twice under one key.
   */
  takeAll(wants: readonly Want[]): Promise<readonly Verdict[]>;
}

export interface MeteredLimiter extends Limiter {
  metrics(): LimiterMetrics;
}
