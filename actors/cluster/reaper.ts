/**
 * The reaper: sees to calls whose machine is dead, or has given them up to nobody. The carrier is asked to come back for them, to whichever machine
 * it reaches; those that nobody has gone on with in time are ended.
 */

import type { Actor, Context, Kind, Outcome } from "@/actors/runtime/actor.ts";
import type { Boot } from "@/db/cluster.ts";
import type { Log } from "@/lib/log.ts";
import { type Place, rank } from "./rendezvous.ts";

/** A live call that no machine holds. */
export interface Orphan {
  readonly tenantId: string;
  readonly callId: string;
  /** Its machine gave it up; else it is dead. */
  readonly isReleased: boolean;
}

/** From one look to the next. */
export const LOOK_MS = 2_000;
/** Machines look in turn, so that two do not ask the carrier at once; a later one steps in for one that does not. */
export const TURN_MS = 8_000;
/** A carrier asks for a call that was handed over within a second or two by itself; asked to, it would drop the new stream. */
export const RELEASED_MS = 15_000;
/** Since it was first seen here: whoever the carrier asks has taken it by then. */
export const GIVE_UP_MS = 40_000;
/** Orphans of one look; the rest waits for the next. */
export const ORPHANS_MAX = 100;
/** Carriers asked, and ends written, at a time. */
export const AT_ONCE_MAX = 16;

export type ReaperMessage =
  | { type: "lookDue" }
  /** From the house: machines are there no more that were. */
  | { type: "machinesGone" }
  | { type: "looked"; outcome: Outcome<readonly Orphan[]> }
  | { type: "seenTo"; orphan: Orphan; outcome: Outcome<Fate> };

/** `asked`: the carrier comes back for it. `ended`: its record is closed. `left`: another machine has it by now. */
export type Fate = "asked" | "ended" | "left";

export const reaperKind: Kind<ReaperMessage> = {
  name: "reaper",
  controlMax: 1_000,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
};

export interface ReaperDeps {
  orphans(most: number): Promise<readonly Orphan[]>;
  /** This machine's place among the living in the order in which they see to a call: 0 is first. */
  turnOf(callId: string): number;
  /** Has the carrier ask again what to do with the call; ends its record where no carrier can. */
  recall(orphan: Orphan, signal: AbortSignal): Promise<Fate>;
  /** Ends its record, unless another machine has it. */
  wrapUp(orphan: Orphan): Promise<Fate>;
  readonly log: Log;
}

interface Watched {
  readonly sinceMs: number;
  readonly isAsked: boolean;
}

export interface ReaperState {
  /** By call. What is no orphan any more is forgotten at the next look. */
  readonly watched: ReadonlyMap<string, Watched>;
  /** Calls that are being seen to. */
  readonly busy: ReadonlySet<string>;
  /** Something is due for others as well, for which there was no room. */
  readonly isFull: boolean;
  readonly fates: Readonly<Record<Fate, number>>;
}

export function reaper(deps: ReaperDeps): Actor<ReaperState, ReaperMessage> {
  const { log } = deps;

  function lookIn(ms: number, ctx: Context<ReaperMessage>): void {
    ctx.timer("lookDue", ms, { type: "lookDue" });
  }

  /** What is due for an orphan now; null: nothing yet. */
  function dueFor(
    { callId, isReleased }: Orphan,
    { sinceMs, isAsked }: Watched,
    now: number,
  ): "recall" | "wrapUp" | null {
    const forMs = now - sinceMs - (isReleased ? RELEASED_MS : 0);
    if (forMs >= GIVE_UP_MS + deps.turnOf(callId) * TURN_MS) return "wrapUp";
    return !isAsked && forMs >= deps.turnOf(callId) * TURN_MS ? "recall" : null;
  }

  return {
    init(ctx) {
      lookIn(LOOK_MS, ctx);
      const fates = { asked: 0, ended: 0, left: 0 };
      return { watched: new Map(), busy: new Set(), isFull: false, fates };
    },
    view: ({ watched, busy, fates }) => ({ watched: watched.size, busy: busy.size, ...fates }),
    on: {
      machinesGone: (_state, _message, ctx) => lookIn(0, ctx),
      lookDue(_state, _message, ctx) {
        ctx.run(
          "look",
          () => deps.orphans(ORPHANS_MAX),
          (outcome) => ({ type: "looked", outcome }),
        );
      },
      looked(state, { outcome }, ctx) {
        lookIn(LOOK_MS, ctx);
        if (!outcome.ok) return; // the node says that the database does not answer
        const now = ctx.now();
        const watched = new Map<string, Watched>();
        const busy = new Set(state.busy);
        let isFull = false;
        for (const orphan of outcome.value) {
          const { callId } = orphan;
          const seen = state.watched.get(callId) ?? { sinceMs: now, isAsked: false };
          let due = busy.has(callId) ? null : dueFor(orphan, seen, now);
          if (due !== null && busy.size >= AT_ONCE_MAX) [due, isFull] = [null, true];
          watched.set(callId, due === "recall" ? { ...seen, isAsked: true } : seen);
          if (due === null) continue;
          busy.add(callId);
          ctx.run(
            callId,
            (signal) => due === "recall" ? deps.recall(orphan, signal) : deps.wrapUp(orphan),
            (outcome) => ({ type: "seenTo", orphan, outcome }),
          );
        }
        return { ...state, watched, busy, isFull };
      },
      seenTo(before, { orphan, outcome }, ctx) {
        const { callId } = orphan;
        const busy = new Set(before.busy);
        busy.delete(callId);
        const isNextDue = before.isFull && busy.size <= AT_ONCE_MAX / 2;
        if (isNextDue) lookIn(0, ctx);
        const state = { ...before, isFull: before.isFull && !isNextDue };
        if (outcome.ok) {
          const fate = outcome.value;
          log.info("a call that no machine held", { ...orphan, fate });
          return { ...state, busy, fates: { ...state.fates, [fate]: state.fates[fate] + 1 } };
        }
        log.warn("cannot see to a call that no machine held", { ...orphan, error: outcome.error });
        const seen = state.watched.get(callId);
        if (seen === undefined) return { ...state, busy };
        const watched = new Map(state.watched).set(callId, { ...seen, isAsked: false });
        return { ...state, busy, watched }; // tried again at the next look, until it is given up
      },
    },
  };
}

/** As `ReaperDeps.turnOf`: the living see to a call in the order in which it would be placed. */
export function turnOf<P extends Place & Boot>(
  callId: string,
  nodes: readonly P[],
  self: Boot | null,
): number {
  const living = rank(`call/${callId}`, nodes.filter(({ state }) => state === "active"));
  const turn = living.findIndex(({ incarnation }) => incarnation === self?.incarnation);
  return turn === -1 ? living.length : turn;
}
