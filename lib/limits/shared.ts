/** The limiter of a machine among others: the shared count, and by itself while that is out of reach. */

import type { Clock } from "@/lib/clock.ts";
import { messageOf } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { MeteredLimiter, Verdict, Want } from "./limiter.ts";
import { memoryLimiter } from "./memory.ts";
import type { SharedCount } from "./redis.ts";
import { newTally } from "./tally.ts";

/** Failures in a row, after which the shared count is left alone. */
export const FAILURES_MAX = 3;
/** Left alone for so long; then one request asks it on the side, and waits for nothing. */
export const RETRY_MS = 2_000;

export interface SharedLimiterOptions {
  readonly count: SharedCount;
  /** How many machines share the limits while each counts by itself. */
  readonly machines: number;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Never rejects, and holds nobody longer than the shared count's own deadline; while the breaker is
 * open nobody is held at all. What the shared count grants is counted here too, so that an outage does not fill
 * every bucket anew.
 */
export function sharedLimiter(options: SharedLimiterOptions): MeteredLimiter {
  const { count, clock, log } = options;
  const local = memoryLimiter(clock, options.machines);
  const tally = newTally();
  let failureCount = 0;
  let failuresInRow = 0;
  /** Null while the shared count is in use. */
  let retryAt: number | null = null;
  let isProbing = false;

  function succeeded(): void {
    failuresInRow = 0;
    if (retryAt === null) return;
    retryAt = null;
    log.info("limits are shared again");
  }

  function failed(error: unknown): void {
    failureCount++;
    failuresInRow++;
    if (failuresInRow < FAILURES_MAX && retryAt === null) return;
    const isNew = retryAt === null;
    retryAt = clock.now() + RETRY_MS;
    if (!isNew) return;
    const reason = messageOf(error);
    log.warn("limits are local: the shared count is out of reach", { reason });
  }

  async function askShared(wants: readonly Want[]): Promise<readonly Verdict[] | null> {
    try {
      const verdicts = await count.takeAll(wants);
      succeeded();
      return verdicts;
    } catch (error) { // of any kind: a limiter that rejects would turn an outage of Redis into ours
      failed(error);
      return null;
    }
  }

  /** One request at a time finds out whether the shared count is back; it is answered here all the same. */
  async function probe(wants: readonly Want[]): Promise<void> {
    if (isProbing || retryAt === null || clock.now() < retryAt) return;
    isProbing = true;
    await askShared(wants);
    isProbing = false;
  }

  async function takeAll(wants: readonly Want[]): Promise<readonly Verdict[]> {
    const here = local.takeAll(wants);
    const isAsked = retryAt === null;
    if (!isAsked) void probe(wants);
    const shared = isAsked ? await askShared(wants) : null;
    const verdicts = shared ?? await here;
    tally.add(wants, verdicts, shared === null ? "local" : "shared");
    return verdicts;
  }

  return {
    takeAll,
    async take(bucket, key, cost = 1) {
      const [verdict] = await takeAll([{ bucket, key, cost }]);
      if (verdict === undefined) throw new Error("No verdict on one want");
      return verdict;
    },
    metrics: () => ({
      buckets: tally.read(),
      failures: failureCount,
      isShared: retryAt === null,
    }),
  };
}
