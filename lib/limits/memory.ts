/** Token buckets in the memory of this machine. */

import type { Clock } from "@/lib/clock.ts";
import { costUs, hasEnough, localPaceOf, type Pace, verdictOf } from "./bucket.ts";
import type { Bucket, MeteredLimiter, Verdict, Want } from "./limiter.ts";
import { newTally } from "./tally.ts";

/** Buckets held at once; the one not used for longest goes first. */
export const HELD_MAX = 100_000;

/** One that needs nothing of the world, and thus need not be waited for. */
export interface MemoryLimiter extends MeteredLimiter {
  takeNow(wants: readonly Want[]): readonly Verdict[];
  /** As if one token had not been taken. */
  giveBack(bucket: Bucket, key: string): void;
}

/** `machines`: so many share each limit, and this one allows its part. */
export function memoryLimiter(clock: Clock, machines = 1): MemoryLimiter {
  /** When each bucket is full again, in microseconds of the clock. */
  const fullAt = new Map<string, number>();
  const paces = new WeakMap<Bucket, Pace>();
  const tally = newTally();

  function paceOf(bucket: Bucket): Pace {
    const known = paces.get(bucket);
    if (known !== undefined) return known;
    const pace = localPaceOf(bucket, machines);
    paces.set(bucket, pace);
    return pace;
  }

  function hold(name: string, until: number): void {
    fullAt.delete(name); // so that it stands last
    fullAt.set(name, until);
    if (fullAt.size <= HELD_MAX) return;
    const [oldest] = fullAt.keys();
    if (oldest !== undefined) fullAt.delete(oldest);
  }

  function takeNow(wants: readonly Want[]): readonly Verdict[] {
    const now = Math.floor(clock.now() * 1_000);
    const asked = wants.map((want) => {
      const pace = paceOf(want.bucket);
      const name = nameOf(want.bucket, want.key);
      const backlogUs = Math.min(pace.fullUs, Math.max(0, (fullAt.get(name) ?? 0) - now));
      const cost = costUs(want, pace);
      return { name, pace, backlogUs, cost, isEnough: hasEnough(backlogUs, cost, pace) };
    });
    const isTaken = asked.every(({ isEnough }) => isEnough);
    const verdicts = asked.map(({ name, pace, backlogUs, cost, isEnough }) => {
      if (isTaken) hold(name, now + backlogUs + cost);
      const after = isTaken ? backlogUs + cost : backlogUs;
      return verdictOf(pace, { backlogUs: after, cost, isAllowed: isEnough });
    });
    tally.add(wants, verdicts, "local");
    return verdicts;
  }

  return {
    takeNow,
    giveBack(bucket, key) {
      const name = nameOf(bucket, key);
      const until = fullAt.get(name);
      if (until !== undefined) fullAt.set(name, until - paceOf(bucket).tokenUs);
    },
    take: (bucket, key, cost = 1) => Promise.resolve(takeOne(takeNow([{ bucket, key, cost }]))),
    takeAll: (wants) => Promise.resolve(takeNow(wants)),
    metrics: () => ({ buckets: tally.read(), failures: 0, isShared: false }),
  };
}

function nameOf(bucket: Bucket, key: string): string {
  return `${bucket.name}/${key}`;
}

function takeOne([verdict]: readonly Verdict[]): Verdict {
  if (verdict === undefined) throw new Error("No verdict on one want");
  return verdict;
}
