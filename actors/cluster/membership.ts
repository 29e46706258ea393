/** How a machine keeps its place among others: its own deadline, and when another may be buried. Pure. */

import type { Boot, Node, NodeState } from "@/db/cluster.ts";

/** Milliseconds, all by the machine's own monotonic clock: no two clocks are ever compared. */
export interface Timings {
  /** From one beat to the next. */
  readonly beatMs: number;
  /** A beat that others have seen stand still for so long is that of a dead machine. */
  readonly ttlMs: number;
  /** So much before the TTL a machine stops by itself. */
  readonly guardMs: number;
  /** From one look at the others to the next. */
  readonly watchMs: number;
  /** A longer gap between two looks that worked, or between beats, starts the watch anew: an outage proves nothing. */
  readonly gapMs: number;
  /** From a failed join to the next try. */
  readonly retryMs: number;
}

/** Held together by the model (`tests/actors/cluster/model_test.ts`). */
export const TIMINGS: Timings = {
  beatMs: 2_000,
  ttlMs: 10_000,
  guardMs: 2_000,
  watchMs: 1_000,
  gapMs: 3_000,
  retryMs: 1_000,
};

export interface Watched {
  readonly beat: number;
  /** When it was first seen, by our own clock. */
  readonly sinceMs: number;
}

export interface Membership {
  /** `left` is the end. A boot that was buried joins again, as another one. */
  readonly phase: "joining" | "active" | "draining" | "left";
  /** Null while it is joining. */
  readonly incarnation: number | null;
  /** Until then, and not a moment longer, movable actors of this boot may act. */
  readonly validUntilMs: number;
  /** When the last beat that worked was sent. */
  readonly beatenAtMs: number;
  /** The others, by incarnation. */
  readonly watched: ReadonlyMap<number, Watched>;
  /** When the last look at them was answered; null: there was none yet. */
  readonly lookedAtMs: number | null;
}

/** What the database answered. `sentAtMs`: taken before the question went out. */
export type MembershipEvent =
  | { readonly type: "joined"; readonly sentAtMs: number; readonly incarnation: number }
  | {
    readonly type: "beaten";
    readonly sentAtMs: number;
    readonly incarnation: number;
    readonly state: NodeState;
  }
  | {
    readonly type: "looked";
    readonly sentAtMs: number;
    readonly answeredAtMs: number;
    readonly nodes: readonly Pick<Node, "nodeId" | "incarnation" | "beat">[];
  };

/** Whom to bury, under the beat that stood still. */
export interface Suspect extends Boot {
  readonly beat: number;
}

export interface Step {
  readonly next: Membership;
  readonly suspects: readonly Suspect[];
  /** The boot that is no more: what it owned is no longer ours. */
  readonly buried: number | null;
}

const NEVER = -Infinity;

export function newMembership(): Membership {
  return {
    phase: "joining",
    incarnation: null,
    validUntilMs: NEVER,
    beatenAtMs: NEVER,
    watched: new Map(),
    lookedAtMs: null,
  };
}

/** Whether a movable actor of this boot may act now. Asked before every act; past it, it waits and keeps its state. */
export function mayAct({ validUntilMs }: Membership, nowMs: number): boolean {
  return nowMs < validUntilMs;
}

/** What an answer changes. Late ones, and those to a boot that is no more, change nothing. */
export function take(state: Membership, event: MembershipEvent, timings: Timings): Step {
  switch (event.type) {
    case "joined": {
      if (state.phase !== "joining") return stay(state);
      const { incarnation } = event;
      const joined: Membership = { ...state, phase: "active", incarnation };
      return stay(extended(joined, event.sentAtMs, timings));
    }
    case "beaten": {
      if (event.incarnation !== state.incarnation || state.phase === "left") return stay(state);
      if (event.state === "dead") {
        return { next: newMembership(), suspects: [], buried: event.incarnation };
      }
      // Told to drain by whoever changed its row, it does; and it never goes back.
      const next = event.state === "draining" ? drained(state) : state;
      return stay(extended(next, event.sentAtMs, timings));
    }
    case "looked":
      return look(state, event, timings);
  }
}

/** It takes nothing new, and goes on with what it has. */
export function drained(state: Membership): Membership {
  return state.phase === "active" ? { ...state, phase: "draining" } : state;
}

/** Its row is dead by its own hand. */
export function left(state: Membership): Membership {
  return { ...state, phase: "left", validUntilMs: NEVER };
}

/** From before the question was sent: others see the beat after that, and count from later. */
function extended(state: Membership, sentAtMs: number, timings: Timings): Membership {
  const { ttlMs, guardMs } = timings;
  return {
    ...state,
    validUntilMs: Math.max(state.validUntilMs, sentAtMs + ttlMs - guardMs),
    beatenAtMs: Math.max(state.beatenAtMs, sentAtMs),
    watched: hasMissedBeats(state, sentAtMs, timings) ? new Map() : state.watched,
  };
}

function hasMissedBeats(
  { beatenAtMs }: Membership,
  nowMs: number,
  { beatMs, gapMs }: Timings,
): boolean {
  return nowMs - beatenAtMs > beatMs + gapMs;
}

/**
 * Only time in which our own looks and beats worked counts, and only from when we saw the beat ourselves: in a
 * database that takes no writes nobody's beat moves, our own as little as theirs.
 */
function look(
  state: Membership,
  { sentAtMs, answeredAtMs, nodes }: MembershipEvent & { readonly type: "looked" },
  timings: Timings,
): Step {
  const { ttlMs, gapMs } = timings;
  if (state.phase === "left") return stay(state);
  if (state.lookedAtMs !== null && answeredAtMs < state.lookedAtMs) return stay(state); // overtaken
  const isBroken = answeredAtMs - (state.lookedAtMs ?? sentAtMs) > gapMs ||
    hasMissedBeats(state, answeredAtMs, timings);
  const watched = new Map<number, Watched>();
  const suspects: Suspect[] = [];
  for (const { nodeId, incarnation, beat } of nodes) {
    if (incarnation === state.incarnation) continue;
    const known = isBroken ? undefined : state.watched.get(incarnation);
    const seen = known?.beat === beat ? known : { beat, sinceMs: answeredAtMs };
    watched.set(incarnation, seen);
    if (answeredAtMs - seen.sinceMs >= ttlMs) suspects.push({ nodeId, incarnation, beat });
  }
  return { next: { ...state, watched, lookedAtMs: answeredAtMs }, suspects, buried: null };
}

/** Milliseconds to the next look: as usual, or until the first beat that stands still has done so for long enough. */
export function untilLook({ watched }: Membership, nowMs: number, timings: Timings): number {
  const { ttlMs, watchMs } = timings;
  const dueIn = [...watched.values()].map(({ sinceMs }) => sinceMs + ttlMs - nowMs);
  return Math.min(watchMs, ...dueIn.filter((ms) => ms > 0));
}

function stay(next: Membership): Step {
  return { next, suspects: [], buried: null };
}
