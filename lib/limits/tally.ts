/** What a limiter has decided since the start, by bucket. */

import type { Verdict, Want } from "./limiter.ts";

/** Who decided: the count of all machines, or this one by itself. */
export type DecidedBy = "shared" | "local";

export interface BucketTally {
  readonly bucket: string;
  readonly by: DecidedBy;
  /** Requests that took from it. */
  readonly allowed: number;
  /** Requests that it had too little for. What another bucket refused alone counts at that one. */
  readonly refused: number;
}

/** Since the start. */
export interface LimiterMetrics {
  readonly buckets: readonly BucketTally[];
  /** Times that the shared count did not answer, or not with an answer. */
  readonly failures: number;
  /** Whether the shared count is in use now. */
  readonly isShared: boolean;
}

export interface Tally {
  add(wants: readonly Want[], verdicts: readonly Verdict[], by: DecidedBy): void;
  read(): readonly BucketTally[];
}

/** As many counters as there are names of buckets: never one for a key. */
export function newTally(): Tally {
  const counts = { shared: new Map<string, Count>(), local: new Map<string, Count>() };

  function countOf(bucket: string, by: DecidedBy): Count {
    const known = counts[by].get(bucket);
    if (known !== undefined) return known;
    const count = { allowed: 0, refused: 0 };
    counts[by].set(bucket, count);
    return count;
  }

  return {
    add(wants, verdicts, by) {
      const isTaken = verdicts.every(wasAllowed);
      wants.forEach(({ bucket }, i) => {
        if (isTaken) countOf(bucket.name, by).allowed++;
        else if (verdicts[i]?.isAllowed === false) countOf(bucket.name, by).refused++;
      });
    },
    read: () =>
      (["shared", "local"] as const).flatMap((by) =>
        [...counts[by]].map(([bucket, count]) => ({ bucket, by, ...count }))
      ),
  };
}

interface Count {
  allowed: number;
  refused: number;
}

function wasAllowed({ isAllowed }: Verdict): boolean {
  return isAllowed;
}
