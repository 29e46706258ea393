/** Token buckets in the memory of this machine. */

import type { Clock } from "@/lib/clock.ts";
import type { Bucket, Limiter, Verdict } from "./limiter.ts";

/** Buckets held at once; the one that was made first goes first. */
export const HELD_MAX = 100_000;

interface Level {
  readonly tokens: number;
  readonly at: number;
}

/** `share`: the part of each limit that is this machine's own. */
export function memoryLimiter(clock: Clock, share = 1): Limiter {
  const levels = new Map<string, Level>();
  return {
    take(bucket, key, cost = 1) {
      const name = `${bucket.name}/${key}`;
      const [level, verdict] = take(bucket, levels.get(name), clock.now(), { cost, share });
      levels.delete(name); // so that it stands last: the oldest is the one not used for longest
      levels.set(name, level);
      const [oldest] = levels.keys();
      if (levels.size > HELD_MAX && oldest !== undefined) levels.delete(oldest);
      return Promise.resolve(verdict);
    },
  };
}

function take(
  bucket: Bucket,
  before: Level | undefined,
  now: number,
  { cost, share }: { readonly cost: number; readonly share: number },
): [Level, Verdict] {
  const limit = Math.max(1, Math.floor(bucket.capacity * share));
  const perMs = bucket.perSecond * share / 1_000;
  const level = before ?? { tokens: limit, at: now };
  const had = Math.min(limit, level.tokens + (now - level.at) * perMs);
  const isAllowed = had >= cost;
  const tokens = isAllowed ? had - cost : had;
  const seconds = (missing: number): number => Math.ceil(Math.max(0, missing) / perMs / 1_000);
  return [{ tokens, at: now }, {
    isAllowed,
    limit,
    remaining: Math.floor(tokens),
    retryAfterS: isAllowed ? 0 : Math.max(1, seconds(cost - tokens)),
    resetS: seconds(limit - tokens),
  }];
}
