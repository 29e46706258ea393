/** A limiter: token buckets by name and key. */

/** How fast something may be done: `capacity` at once, and `perSecond` from then on. */
export interface Bucket {
  /** `login`, `read`, `write`, `dial`. */
  readonly name: string;
  readonly capacity: number;
  readonly perSecond: number;
  /** True: where the shared count cannot be reached, it is refused rather than guessed generously. */
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

export interface Limiter {
  /** Takes `cost` tokens, or none. Never rejects: without its store it decides by itself. */
  take(bucket: Bucket, key: string, cost?: number): Promise<Verdict>;
}
