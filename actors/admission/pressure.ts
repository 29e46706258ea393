/** How hard pressed this machine is, from 0 to 5, decided from what is measured each second. Pure. */

/** 0: none. At each further level one more kind of work is shed, in the order of `SHED_AT`. */
export type Level = 0 | 1 | 2 | 3 | 4 | 5;

/** The level from which each kind of work is refused or waits. Live calls, hang-ups and carriers' reports never are. */
export const SHED_AT = {
  outbound: 1,
  jobs: 2,
  /** What live calls can do without: replies made in advance, captions of words that are not final. */
  extras: 2,
  lists: 3,
  writes: 4,
  talk: 4,
  inbound: 5,
} as const satisfies Record<string, Level>;

export type Shed = keyof typeof SHED_AT;

export interface Sample {
  /** How late the event loop was at worst but for one tick in a hundred, over the last second. */
  readonly lagMs: number;
  /** What the process holds, as a part of what it may: 0 where no bound is set. */
  readonly memory: number;
}

export interface Pressure {
  readonly level: Level;
  /** Since when each sample asked for more, and the least of what they asked for. */
  readonly over: { readonly sinceMs: number; readonly low: Level; readonly high: Level } | null;
  /** Since when each sample asked for less. */
  readonly calmSinceMs: number | null;
}

export const NO_PRESSURE: Pressure = { level: 0, over: null, calmSinceMs: null };

/** So long a sample must hold before it counts, and before it counts for a level more. */
export const RISE_MS = 2_000;
/** So long it must be calm before each step down. */
export const CALM_MS = 10_000;
/** Multiples of the lag that is borne. */
const HIGH_LAG = 2;
const WORST_LAG = 4;
const HIGH_MEMORY = 0.75;
const WORST_MEMORY = 0.85;

interface Band {
  /** Entered at `low`; what lasts climbs to `high`. */
  readonly low: Level;
  readonly high: Level;
}

/** The band that a sample falls into, by the lag that is borne. */
export function bandOf({ lagMs, memory }: Sample, bearableMs: number): Band {
  if (lagMs > bearableMs * WORST_LAG || memory > WORST_MEMORY) return { low: 5, high: 5 };
  if (lagMs > bearableMs * HIGH_LAG) return { low: 3, high: 4 };
  if (memory > HIGH_MEMORY) return { low: 3, high: 3 };
  if (lagMs > bearableMs) return { low: 1, high: 2 };
  return { low: 0, high: 0 };
}

/** Up when each sample of `RISE_MS` asked for it; down by one step for each `CALM_MS` of calm. */
export function pressed(
  pressure: Pressure,
  sample: Sample,
  { nowMs, bearableMs }: { readonly nowMs: number; readonly bearableMs: number },
): Pressure {
  const { level } = pressure;
  const band = bandOf(sample, bearableMs);
  if (band.high > level) {
    const before = pressure.over ?? { ...band, sinceMs: nowMs };
    const over = {
      sinceMs: before.sinceMs,
      low: least(before.low, band.low),
      high: least(before.high, band.high),
    };
    if (nowMs - over.sinceMs < RISE_MS) return { level, over, calmSinceMs: null };
    return { level: over.low > level ? over.low : over.high, over: null, calmSinceMs: null };
  }
  if (band.high === level) return { level, over: null, calmSinceMs: null };
  const calmSinceMs = pressure.calmSinceMs ?? nowMs;
  if (nowMs - calmSinceMs < CALM_MS) return { level, over: null, calmSinceMs };
  return { level: oneDown(level), over: null, calmSinceMs: nowMs };
}

/** Is this kind of work refused, or made to wait, at this level? */
export function isShed(work: Shed, level: Level): boolean {
  return level >= SHED_AT[work];
}

function least(one: Level, other: Level): Level {
  return one < other ? one : other;
}

const DOWN = { 0: 0, 1: 0, 2: 1, 3: 2, 4: 3, 5: 4 } as const satisfies Record<Level, Level>;

function oneDown(level: Level): Level {
  return DOWN[level];
}
