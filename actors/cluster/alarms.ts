/** What operators are to act on, looked for every few seconds by every machine and kept for a while when it is over. */

import type { Level, Sample } from "@/actors/admission/pressure.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";
import { gauge, type Sample as Metric } from "@/lib/prometheus.ts";
import type { ClusterView, NodeView } from "./roster.ts";

/**
 * `pressure`: this machine sheds work. `undelivered`: a machine makes no progress. `silent`: it does not answer this one.
 * `lost`: it beats no more, or was buried. `draining`: it takes no new calls. `orphans`: nobody has the calls of a dead
 * one. `unseen`: the rows of the machines cannot be read.
 */
export const ALARM_KINDS = [
  "pressure",
  "undelivered",
  "silent",
  "lost",
  "draining",
  "orphans",
  "unseen",
] as const;
export type AlarmKind = typeof ALARM_KINDS[number];

export interface Alarm {
  readonly kind: AlarmKind;
  /** The machine it is of; null: of all. */
  readonly nodeId: string | null;
  /** Since when this machine has seen it, ISO 8601. */
  readonly since: string;
  /** Null: it is so now. */
  readonly until: string | null;
  /** As it was last seen: numbers of `/pressure` and `/cluster`. */
  readonly detail: Readonly<Record<string, number>>;
}

export interface Alarms {
  /** Both newest first. */
  view(): { readonly current: readonly Alarm[]; readonly recent: readonly Alarm[] };
  /** As Prometheus text: how many there are of each kind. */
  text(): string;
  stop(): void;
}

export const LOOK_MS = 5_000;
/** So long it must be so before it is an alarm. */
const HOLD_MS: Readonly<Record<AlarmKind, number>> = {
  pressure: 0,
  undelivered: 60_000,
  silent: 10_000,
  lost: 0,
  draining: 0,
  orphans: 60_000,
  unseen: 10_000,
};
const UNDELIVERED_MAX_MS = 5_000;
/** A machine that is gone and does not come back is forgotten, as one that was taken away. */
export const LOST_MS = 3_600_000;
const RECENT_MAX = 100;

export interface AlarmsOptions {
  readonly clock: Clock;
  readonly log: Log;
  pressure(): Sample & { readonly level: Level };
  cluster(): Promise<ClusterView>;
}

type Found = Pick<Alarm, "kind" | "nodeId" | "detail">;
interface Open extends Found {
  readonly sinceMs: number;
  readonly since: string;
  readonly isRaised: boolean;
}
/** A machine as it was seen: its beat stands still since then, or moves (null). */
interface Seen {
  readonly nodeId: string;
  readonly beat: number;
  readonly atMs: number;
  readonly stillSinceMs: number | null;
}

export function newAlarms({ clock, log, pressure, cluster }: AlarmsOptions): Alarms {
  let seen: ReadonlyMap<number, Seen> = new Map();
  let open: ReadonlyMap<string, Open> = new Map();
  let recent: readonly Alarm[] = [];
  /** By which it is known once it has joined. */
  let self: string | null = null;
  let isStopped = false;
  let cancel: Cancel = clock.timer(LOOK_MS, () => void look());

  async function look(): Promise<void> {
    const view = await cluster().catch(() => null);
    if (isStopped) return;
    cancel = clock.timer(LOOK_MS, () => void look());
    const { level, lagMs, memory } = pressure();
    self = view?.self?.nodeId ?? self;
    const pressed: readonly Found[] = level === 0
      ? []
      : [{ kind: "pressure", nodeId: self, detail: { level, lagMs, memory } }];
    if (view === null) { // of the other machines nothing is known: what was so is taken to be so
      const kept = [...open.values()].filter(({ kind }) => kind !== "pressure");
      return take([...pressed, ...kept, { kind: "unseen", nodeId: null, detail: {} }]);
    }
    const nowMs = clock.now();
    seen = seenNow(seen, view.nodes, nowMs);
    take([...pressed, ...view.nodes.flatMap(ofNode), ...ofLost(seen, nowMs), ...ofOrphans(view)]);
  }

  function take(found: readonly Found[]): void {
    const before = open;
    const now = new Map<string, Open>();
    for (const one of found) {
      const key = `${one.kind} ${one.nodeId}`;
      const known = before.get(key);
      const sinceMs = known?.sinceMs ?? clock.now();
      const isRaised = known?.isRaised || clock.now() - sinceMs >= HOLD_MS[one.kind];
      if (isRaised && !known?.isRaised) log.warn("alarm raised", { alarm: one.kind, ...told(one) });
      const since = known?.since ?? clock.date().toISOString();
      const { kind, nodeId, detail } = one;
      now.set(key, { kind, nodeId, detail, sinceMs, since, isRaised });
    }
    const over = [...before].filter(([key, one]) => one.isRaised && !now.has(key));
    const until = clock.date().toISOString();
    const ended = over.map(([, one]) => {
      log.info("alarm is over", { alarm: one.kind, ...told(one), since: one.since });
      return shown(one, until);
    });
    recent = [...ended, ...recent].slice(0, RECENT_MAX);
    open = now;
  }

  function raised(): readonly Open[] {
    return [...open.values()].filter(({ isRaised }) => isRaised);
  }

  return {
    view: () => ({
      current: raised().toSorted((a, b) => b.sinceMs - a.sinceMs).map((one) => shown(one, null)),
      recent,
    }),
    text() {
      const counts = ALARM_KINDS.map((kind): Metric => [
        { kind },
        raised().filter((one) => one.kind === kind).length,
      ]);
      return gauge(
        "ringmaster_alarms",
        "What operators are to act on: /alarms tells more.",
        counts,
      );
    },
    stop() {
      isStopped = true;
      cancel();
    },
  };
}

/** Machines that are gone though their beat moved when they were last seen have left by themselves. */
function seenNow(
  before: ReadonlyMap<number, Seen>,
  nodes: readonly NodeView[],
  nowMs: number,
): ReadonlyMap<number, Seen> {
  const now = new Map<number, Seen>();
  for (const { incarnation, nodeId, beat, isSelf } of nodes) {
    if (isSelf) continue; // a process that does not beat does not look either
    const known = before.get(incarnation);
    const stillSinceMs = known?.beat === beat ? known.stillSinceMs ?? known.atMs : null;
    now.set(incarnation, { nodeId, beat, atMs: nowMs, stillSinceMs });
  }
  const back = new Set(nodes.map(({ nodeId }) => nodeId));
  for (const [incarnation, one] of before) {
    const { stillSinceMs, nodeId } = one;
    if (now.has(incarnation) || back.has(nodeId) || stillSinceMs === null) continue;
    if (nowMs - stillSinceMs < LOST_MS) now.set(incarnation, one);
  }
  return now;
}

function ofNode(node: NodeView): readonly Found[] {
  const { nodeId, oldestUndeliveredMs, state, load } = node;
  const age = oldestUndeliveredMs;
  return [
    ...(state === "draining" ? [{ kind: "draining", nodeId, detail: { load } } as const] : []),
    ...(age === null ? [{ kind: "silent", nodeId, detail: { load } } as const] : []),
    ...(age !== null && age > UNDELIVERED_MAX_MS
      ? [{ kind: "undelivered", nodeId, detail: { oldestUndeliveredMs: age } } as const]
      : []),
  ];
}

/** A beat comes every 2 s: one that did not move between two looks stands still. */
function ofLost(seen: ReadonlyMap<number, Seen>, nowMs: number): readonly Found[] {
  return [...seen.values()].flatMap(({ nodeId, stillSinceMs }) =>
    stillSinceMs === null
      ? []
      : [{ kind: "lost", nodeId, detail: { stillMs: nowMs - stillSinceMs } } as const]
  );
}

function ofOrphans({ orphans }: ClusterView): readonly Found[] {
  return Object.keys(orphans).length === 0
    ? []
    : [{ kind: "orphans", nodeId: null, detail: orphans }];
}

function told({ nodeId, detail }: Found): Readonly<Record<string, unknown>> {
  return { ...detail, nodeId };
}

function shown({ kind, nodeId, since, detail }: Open, until: string | null): Alarm {
  return { kind, nodeId, since, until, detail };
}
