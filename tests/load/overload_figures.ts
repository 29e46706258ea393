/** The figures of `load overload`: goodput by the share of each call that lies in a phase, and how memory grows. */

import { percentile } from "@/tests/bench/calls/figures.ts";

/** What passes, by issue 5. */
const GOODPUT_MIN_PERCENT = 90;
const REJECT_MAX_MS = 50;
/** Answers of calls that were admitted may be this much later than without overload. */
const LATER_MAX_MS = 100;
/**
 * Of what is held a minute, after garbage is collected: some 40 calls and 340 refusals, so that 6 kB kept of each call
 * or 750 bytes of each refusal are too much. What the process takes of the machine says less: a heap grows lazily.
 */
const HELD_SLOPE_MAX_MB = 0.25;
const SLOPE_MIN_MS = 5 * 60_000;
const REASONS_MAX = 10;

/** A call that was offered. Times are of one monotonic clock. */
export type Rung =
  | { readonly type: "rejected"; readonly rungAtMs: number; readonly tookMs: number }
  | {
    readonly type: "admitted";
    readonly rungAtMs: number;
    readonly endedAtMs: number;
    /** Until the carrier had its answer. */
    readonly tookMs: number;
    /** Silences before the agent's answers. */
    readonly gapsMs: readonly number[];
    /** Came to its end as it should; else `why` not. */
    readonly isGood: boolean;
    readonly why: string;
  }
  /** Neither taken nor given the busy tone. */
  | { readonly type: "failed"; readonly rungAtMs: number; readonly reason: string };

export interface Phase {
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface Sample {
  readonly atMs: number;
  readonly mb: number;
}

/** Why those were lost or failed, each reason once. */
export function reasonsOf(some: readonly Rung[]): readonly string[] {
  const all = some.map((one) =>
    one.type === "admitted" ? one.why : one.type === "failed" ? one.reason : "rejected"
  );
  return [...new Set(all)].slice(0, REASONS_MAX);
}

/** `missed`: what is not as the issue asks; `failed` counts them. */
export function figuresOf(
  all: readonly Rung[],
  { atCapacity, overloaded, rssMb, heldMb }: {
    readonly atCapacity: Phase;
    readonly overloaded: Phase;
    readonly rssMb: readonly Sample[];
    readonly heldMb: readonly Sample[];
  },
): {
  readonly failed: number;
  readonly missed: readonly string[];
  readonly reasons: readonly string[];
  readonly [figure: string]: number | readonly string[];
} {
  const before = ofPhase(all, atCapacity);
  const during = ofPhase(all, overloaded);
  const lost = all.filter((one) => one.type === "admitted" && !one.isGood);
  const errors = all.filter((one) => one.type === "failed");
  const heldSlope = slopePerMinute(heldMb);
  const goodputPercent = during.goodput / before.goodput * 100;
  const isLong = overloaded.untilMs - overloaded.fromMs >= SLOPE_MIN_MS;
  const missed = [
    ...(goodputPercent < GOODPUT_MIN_PERCENT ? ["goodput"] : []),
    ...(percentile(during.rejectMs, 0.99) > REJECT_MAX_MS ? ["rejection"] : []),
    ...(percentile(during.gapsMs, 0.99) > percentile(before.gapsMs, 0.99) + LATER_MAX_MS
      ? ["latency"]
      : []),
    ...(isLong && heldSlope > HELD_SLOPE_MAX_MB ? ["memory"] : []),
    ...(lost.length > 0 ? ["lost"] : []),
    ...(errors.length > 0 ? ["errors"] : []),
  ];
  return {
    offered: during.offered,
    offeredPerMinute: round(during.offered / (overloaded.untilMs - overloaded.fromMs) * 60_000),
    admitted: during.admitMs.length,
    rejected: during.rejectMs.length,
    goodputPerMinute1x: round(before.goodput),
    goodputPerMinute: round(during.goodput),
    goodputPercent: round(goodputPercent),
    admittedP50Ms1x: round(percentile(before.gapsMs, 0.5)),
    admittedP99Ms1x: round(percentile(before.gapsMs, 0.99)),
    admittedP50Ms: round(percentile(during.gapsMs, 0.5)),
    admittedP99Ms: round(percentile(during.gapsMs, 0.99)),
    admitP99Ms: round(percentile(during.admitMs, 0.99)),
    rejectP50Ms: round(percentile(during.rejectMs, 0.5)),
    rejectP99Ms: round(percentile(during.rejectMs, 0.99)),
    rejectMaxMs: round(percentile(during.rejectMs, 1)),
    rssStartMb: round(rssMb[0]?.mb ?? 0),
    rssEndMb: round(rssMb.at(-1)?.mb ?? 0),
    rssSlopeMbPerMin: round(slopePerMinute(rssMb)),
    heldStartMb: round(heldMb[0]?.mb ?? 0),
    heldEndMb: round(heldMb.at(-1)?.mb ?? 0),
    heldSlopeMbPerMin: round(heldSlope),
    lost: lost.length,
    errors: errors.length,
    reasons: reasonsOf([...lost, ...errors]),
    missed,
    failed: missed.length,
  };
}

/** Of the calls that were offered in it; its goodput, of all. */
function ofPhase(all: readonly Rung[], phase: Phase) {
  const rung = all.filter(({ rungAtMs }) => rungAtMs >= phase.fromMs && rungAtMs < phase.untilMs);
  return {
    offered: rung.length,
    goodput: creditOf(all, phase),
    rejectMs: rung.flatMap((one) => one.type === "rejected" ? [one.tookMs] : []),
    admitMs: rung.flatMap((one) => one.type === "admitted" ? [one.tookMs] : []),
    gapsMs: rung.flatMap((one) => one.type === "admitted" && one.isGood ? one.gapsMs : []),
  };
}

const round = (value: number): number => Math.round(value * 100) / 100;

/** Calls that came to their end, a minute; one that lies across an edge counts by its part within. */
export function creditOf(all: readonly Rung[], { fromMs, untilMs }: Phase): number {
  const whole = all.reduce((sum, one) => {
    if (one.type !== "admitted" || !one.isGood) return sum;
    const { rungAtMs, endedAtMs } = one;
    const within = Math.min(endedAtMs, untilMs) - Math.max(rungAtMs, fromMs);
    return sum + Math.max(0, within) / (endedAtMs - rungAtMs);
  }, 0);
  return whole / (untilMs - fromMs) * 60_000;
}

/** By least squares; 0 of fewer than two samples. */
export function slopePerMinute(
  samples: readonly Sample[],
): number {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [at, mb] = [mean(({ atMs }) => atMs), mean((sample) => sample.mb)];
  const spread = samples.reduce((sum, { atMs }) => sum + (atMs - at) ** 2, 0);
  if (spread === 0 || samples.length < 2) return 0;
  const along = samples.reduce((sum, it) => sum + (it.atMs - at) * (it.mb - mb), 0);
  return along / spread * 60_000;
}
