/** What the system has done so far and holds now, as numbers. */

import type { Cell } from "./cell.ts";
import type { DeadReason } from "./dead_letters.ts";
import type { Host, KindEntry, Phase } from "./host.ts";
import type { Lag, LagWatch } from "./lag.ts";

export interface KindMetrics {
  readonly live: number;
  readonly handled: number;
  readonly crashes: number;
  readonly restarts: number;
  readonly mediaDropped: number;
  /** Messages that wait in all mailboxes of the kind, and in the fullest one. */
  readonly waiting: { readonly control: number; readonly media: number; readonly deepest: number };
}

export interface Metrics {
  readonly phase: Phase;
  readonly kinds: Readonly<Record<string, KindMetrics>>;
  readonly deadLetters: Readonly<Record<DeadReason, number>>;
  readonly asksWaiting: number;
  readonly asksExpired: number;
  /** How often the scheduler handed the event loop back with actors still ready. */
  readonly schedulerYields: number;
  /** Null until `watchLag`. */
  readonly lag: Lag | null;
}

export function metricsOf(host: Host, lag: LagWatch | null): Metrics {
  const kinds = [...host.kinds].map(([name, entry]) => [name, kindMetricsOf(entry)] as const);
  return {
    phase: host.phase,
    kinds: Object.fromEntries(kinds),
    deadLetters: { ...host.deadLetters.counts },
    asksWaiting: host.wheel.size,
    asksExpired: host.asksExpired,
    schedulerYields: host.scheduler.yields,
    lag: lag?.read() ?? null,
  };
}

function kindMetricsOf(entry: KindEntry): KindMetrics {
  const { handled, crashes, restarts, mediaDropped, cells } = entry;
  const waiting = { control: 0, media: 0, deepest: 0 };
  for (const cell of cells.values()) {
    waiting.control += cell.control.length;
    waiting.media += mediaDepth(cell);
    waiting.deepest = Math.max(waiting.deepest, cell.control.length + mediaDepth(cell));
  }
  return { live: cells.size, handled, crashes, restarts, mediaDropped, waiting };
}

function mediaDepth(cell: Cell): number {
  return cell.media?.length ?? 0;
}
