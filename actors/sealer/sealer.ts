/** The sealer: chains the audit entries of all tenants, in order, within a second of their commit. */

import type { Actor, Context, Kind, Outcome } from "@/actors/runtime/actor.ts";
import type { Log } from "@/lib/log.ts";
import type { Head, Passed } from "./pass.ts";

/** Entries of other machines, and those whose machine has died, are found by looking. */
const POLL_MS = 800;
/** Entries that come together are sealed together. */
const GATHER_MS = 200;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** How often the heads are logged: what a log elsewhere holds, nobody at the database can change. */
const ANCHOR_MS = 3_600_000;
/** Heads that wait to be logged; with more, they are logged before the hour is over. */
const HEADS_MAX = 10_000;

export type SealerMessage =
  /** From the desks of this machine: an act has committed an entry. May be lost, and come too often. */
  | { type: "wake" }
  /** From itself: time for a pass. */
  | { type: "due" }
  | { type: "passed"; outcome: Outcome<Passed> }
  /** From itself: time to log the heads. */
  | { type: "anchor" };

export const sealerKind: Kind<SealerMessage> = {
  name: "sealer",
  controlMax: 10_000,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
};

export interface SealerDeps {
  /** Seals what waits, bounded. Of machines that are at it at once, one does it. */
  pass(signal: AbortSignal): Promise<Passed>;
  readonly log: Log;
}

export interface SealerState {
  /** `woken`: a pass runs, and an entry may have come too late for it. */
  readonly phase: "waiting" | "gathering" | "sealing" | "woken";
  /** Since the start. */
  readonly entries: number;
  /** Passes that failed since the last good one. */
  readonly failures: number;
  /** Of the chains that this machine has sealed since the heads were logged. Changed in place. */
  readonly heads: Map<string, Head>;
}

export function sealer({ pass, log }: SealerDeps): Actor<SealerState, SealerMessage> {
  function wait(ctx: Context<SealerMessage>, ms: number): void {
    ctx.timer("due", ms, { type: "due" });
  }

  function logHeads(heads: Map<string, Head>): void {
    for (const [tenantId, { seq, hash }] of heads) {
      log.info("audit head", { tenantId, seq, hash });
    }
    heads.clear();
  }

  return {
    init(ctx) {
      wait(ctx, GATHER_MS);
      ctx.timer("anchor", ANCHOR_MS, { type: "anchor" });
      return { phase: "gathering", entries: 0, failures: 0, heads: new Map() };
    },
    view: ({ heads, ...state }) => ({ ...state, heads: heads.size }),
    on: {
      wake(state, _, ctx) {
        switch (state.phase) {
          case "waiting":
            if (state.failures > 0) return state; // the database is away: its pause stands
            wait(ctx, GATHER_MS);
            return { ...state, phase: "gathering" };
          case "sealing":
            return { ...state, phase: "woken" };
          case "gathering":
          case "woken":
            return state;
        }
      },
      due(state, _, ctx) {
        ctx.run("pass", pass, (outcome) => ({ type: "passed", outcome }));
        return { ...state, phase: "sealing" };
      },
      passed(state, { outcome }, ctx) {
        if (!outcome.ok) {
          if (state.failures === 0) {
            log.error("cannot seal audit entries: will try again", { error: outcome.error });
          }
          wait(ctx, Math.min(RETRY_MIN_MS * 2 ** state.failures, RETRY_MAX_MS));
          return { ...state, phase: "waiting", failures: state.failures + 1 };
        }
        const { entries, heads, hasMore, isLeft } = outcome.value;
        for (const [tenantId, head] of heads) state.heads.set(tenantId, head);
        if (state.heads.size > HEADS_MAX) logHeads(state.heads);
        const isUrgent = hasMore || isLeft || state.phase === "woken";
        wait(ctx, hasMore ? 0 : isUrgent ? GATHER_MS : POLL_MS);
        return {
          ...state,
          phase: isUrgent ? "gathering" : "waiting",
          entries: state.entries + entries,
          failures: 0,
        };
      },
      anchor(state, _, ctx) {
        logHeads(state.heads);
        ctx.timer("anchor", ANCHOR_MS, { type: "anchor" });
      },
    },
    stopped: ({ heads }) => logHeads(heads),
  };
}
