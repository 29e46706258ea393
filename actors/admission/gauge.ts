/** Looks each second at this machine's lag and memory, and tells at which level of pressure it is. */

import type { Cancel, Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";
import { type Lag, LAG_BUCKETS_MS } from "@/actors/runtime/lag.ts";
import {
  isShed,
  type Level,
  NO_PRESSURE,
  pressed,
  type Sample,
  type Shed,
  SHED_AT,
} from "./pressure.ts";

const LOOK_MS = 1_000;
const QUANTILE = 0.99;
/** A process that has just begun is late while its code is being compiled: that is no pressure. */
export const WARM_MS = 15_000;

export interface Gauge {
  readonly level: Level;
  isShed(work: Shed): boolean;
  /** For operators. */
  view(): GaugeView;
  /** As Prometheus text. */
  text(): string;
  stop(): void;
}

export interface GaugeView extends Sample {
  readonly level: Level;
  readonly sheds: readonly Shed[];
}

export interface GaugeOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Lag up to here is borne; 0: nothing is ever shed for it. */
  readonly bearableMs: number;
  /** What the process may hold, in bytes; null: it is not looked at. */
  readonly memoryMaxBytes: number | null;
  lag(): Lag | null;
  memoryBytes(): number;
  /** Told of each change, so that what waits goes on. */
  changed(level: Level): void;
}

const WORK = Object.keys(SHED_AT) as Shed[]; // of the very object

export function newGauge(options: GaugeOptions): Gauge {
  const { clock, log, memoryMaxBytes } = options;
  const bearableMs = options.bearableMs === 0 ? Infinity : options.bearableMs;
  let pressure = NO_PRESSURE;
  let sample: Sample = { lagMs: 0, memory: 0 };
  let seen: readonly number[] = [];
  const warmAt = clock.now() + WARM_MS;
  let cancel: Cancel = clock.timer(LOOK_MS, look);

  function shed(): readonly Shed[] {
    return WORK.filter((work) => isShed(work, pressure.level));
  }

  function look(): void {
    cancel = clock.timer(LOOK_MS, look);
    const counts = options.lag()?.counts ?? [];
    const ticks = counts.map((count, index) => count - (seen[index] ?? 0));
    seen = counts;
    const memory = memoryMaxBytes === null ? 0 : options.memoryBytes() / memoryMaxBytes;
    sample = { lagMs: latestOf(ticks), memory };
    const { level } = pressure;
    const nowMs = clock.now();
    pressure = pressed(pressure, sample, {
      nowMs,
      bearableMs: nowMs < warmAt ? Infinity : bearableMs,
    });
    if (pressure.level === level) return;
    const told = { level: pressure.level, was: level, ...sample, sheds: shed() };
    if (pressure.level > level) log.warn("pressure rose: work is shed", told);
    else log.info("pressure fell", told);
    options.changed(pressure.level);
  }

  return {
    get level() {
      return pressure.level;
    },
    isShed: (work) => isShed(work, pressure.level),
    view: () => ({ level: pressure.level, ...sample, sheds: shed() }),
    text: () =>
      "# HELP ringmaster_pressure_level How hard pressed this machine is: 0 none, 5 refuses callers.\n" +
      `# TYPE ringmaster_pressure_level gauge\nringmaster_pressure_level ${pressure.level}\n`,
    stop: () => cancel(),
  };
}

/** The quantile of a histogram of ticks, as the upper bound of its bucket; past the last bound, a number above it. */
function latestOf(ticks: readonly number[]): number {
  const total = ticks.reduce((sum, count) => sum + count, 0);
  let left = Math.ceil(total * QUANTILE);
  if (total === 0) return 0;
  const index = ticks.findIndex((count) => (left -= count) <= 0);
  return LAG_BUCKETS_MS[index] ?? (LAG_BUCKETS_MS.at(-1) ?? 0) * 2;
}
