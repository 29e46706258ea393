/**
 * The arithmetic of a token bucket. All there is to remember of one is its backlog: how long it takes
 * until it is full again (the generic cell rate algorithm, ITU-T I.371). A full bucket is no bucket.
 */

import type { Bucket, Verdict, Want } from "./limiter.ts";

/** A bucket's rates, in whole microseconds, so that sums are exact and the same in Redis as here. */
export interface Pace {
  /** How long one token takes to come back. */
  readonly tokenUs: number;
  /** How long an empty bucket takes to be full. */
  readonly fullUs: number;
  readonly capacity: number;
}

export function paceOf({ capacity, perSecond }: Bucket): Pace {
  return pace(capacity, 1_000_000 / perSecond);
}

/** What one of so many machines may allow by itself. A capacity of 0 allows nothing. */
export function localPaceOf(bucket: Bucket, machines: number): Pace {
  const share = Math.floor(bucket.capacity / machines);
  const capacity = bucket.isStrict ? share : Math.max(1, share);
  return pace(capacity, 1_000_000 * machines / bucket.perSecond);
}

function pace(capacity: number, exactUs: number): Pace {
  const tokenUs = Math.max(1, Math.round(exactUs));
  return { tokenUs, fullUs: tokenUs * capacity, capacity };
}

/** What a want adds to the backlog. */
export function costUs({ cost = 1 }: Want, { tokenUs, capacity }: Pace): number {
  return Math.min(cost, capacity) * tokenUs;
}

export function hasEnough(backlogUs: number, cost: number, { fullUs, capacity }: Pace): boolean {
  return capacity > 0 && backlogUs + cost <= fullUs;
}

/** What is told of a bucket whose backlog is this, after the tokens were taken or refused. */
export function verdictOf(
  pace: Pace,
  { backlogUs, cost, isAllowed }: {
    readonly backlogUs: number;
    readonly cost: number;
    readonly isAllowed: boolean;
  },
): Verdict {
  const { tokenUs, fullUs, capacity } = pace;
  const missingUs = isAllowed ? 0 : Math.max(0, backlogUs + cost - fullUs);
  return {
    isAllowed,
    limit: capacity,
    remaining: Math.max(0, Math.floor((fullUs - backlogUs) / tokenUs)),
    retryAfterS: isAllowed ? 0 : Math.max(1, Math.ceil(missingUs / 1_000_000)),
    resetS: Math.ceil(backlogUs / 1_000_000),
  };
}
