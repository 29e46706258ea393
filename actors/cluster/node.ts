/** The node: this machine among others. It joins, beats, watches the others, buries the dead, and drains. */

import type { Actor, Context, Kind, Outcome, Reply } from "@/actors/runtime/actor.ts";
import type { ActorKey, Boot, Fence, NewNode, Node, NodeState, Owned } from "@/db/cluster.ts";
import type { Log } from "@/lib/log.ts";
import type { Secret } from "@/lib/secret.ts";
import type { Directory } from "./directory.ts";
import type { Holdings } from "./holdings.ts";
import {
  drained,
  type Membership,
  newMembership,
  type Step,
  type Suspect,
  take,
  TIMINGS,
  type Timings,
  untilLook,
} from "./membership.ts";

/** Ended actors whose rows one beat removes. */
const ENDED_MAX = 500;

export type NodeMessage =
  /** From itself: time to beat, or to join. */
  | { type: "beatDue" }
  | { type: "joined"; sentAtMs: number; outcome: Outcome<number> }
  | { type: "beaten"; beat: Beat; outcome: Outcome<NodeState> }
  /** From itself: time to look at the others. */
  | { type: "lookDue" }
  | { type: "looked"; sentAtMs: number; outcome: Outcome<readonly Node[]> }
  | { type: "buried"; suspect: Suspect; outcome: Outcome<boolean> }
  /** What was taken by a boot that was buried is claimed anew, before others do. */
  | { type: "reclaimed"; stale: Fence; outcome: Outcome<Owned | null> }
  /** From the house: an actor has ended for good, as calls do; its row may go. */
  | { type: "ended"; actor: ActorKey }
  /** Answered once it has joined. */
  | { type: "whenJoined"; reply: Reply<Boot> }
  /** It takes nothing new; others see so. */
  | { type: "drain" }
  | { type: "drained"; outcome: Outcome<void> };

interface Beat {
  readonly sentAtMs: number;
  readonly boot: Boot;
  readonly ended: readonly ActorKey[];
}

export const nodeKind: Kind<NodeMessage> = {
  name: "node",
  controlMax: 10_000,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
};

export interface NodeDeps {
  readonly directory: Directory;
  readonly node: NewNode;
  readonly holdings: Holdings;
  /** Calls that live here. */
  load(): number;
  /** Kinds that end with their boot; the others are claimed anew by the next one. Absent: none. */
  readonly movable?: ReadonlySet<string>;
  /** Told of what has been somebody else's since this machine was buried, and of the movable ones it had. */
  lost(actor: ActorKey): void;
  /** What this machine proves itself to others with. Absent: it talks to none. */
  readonly linkKey?: Secret;
  /** Told of the machines there are at every look that worked. */
  seen?(nodes: readonly Node[]): void;
  readonly timings?: Timings;
  readonly log: Log;
}

export interface NodeActorState {
  readonly membership: Membership;
  readonly isDraining: boolean;
  readonly ended: readonly ActorKey[];
  readonly waiting: readonly Reply<Boot>[];
  /** Questions that failed since the last one that did not. */
  readonly failures: number;
}

export function node(deps: NodeDeps): Actor<NodeActorState, NodeMessage> {
  const { directory, holdings, log, timings = TIMINGS } = deps;
  const { nodeId } = deps.node;
  type Ctx = Context<NodeMessage>;

  function beatAfter(ctx: Ctx, ms: number): void {
    ctx.timer("beatDue", ms, { type: "beatDue" });
  }

  function failed(state: NodeActorState, what: string, error: unknown): NodeActorState {
    if (state.failures === 0) log.warn("cannot reach the cluster's rows", { what, error });
    return { ...state, failures: state.failures + 1 };
  }

  function lookIn(ms: number, ctx: Ctx): void {
    ctx.timer("lookDue", ms, { type: "lookDue" });
  }

  /** What follows from an answer, whatever it was. */
  function follow(state: NodeActorState, { next, suspects, buried }: Step, ctx: Ctx) {
    for (const suspect of suspects) {
      ctx.run(
        `bury ${suspect.incarnation}`,
        () => directory.bury(suspect, suspect.beat),
        (outcome) => ({ type: "buried", suspect, outcome }),
      );
    }
    if (buried !== null) {
      log.error("this machine was buried: it joins again", { nodeId, incarnation: buried });
      holdings.buried();
    }
    holdings.extend(next.validUntilMs);
    return { ...state, membership: next, failures: 0 };
  }

  function reclaim(stale: Fence, boot: Boot, ctx: Ctx): void {
    ctx.run(
      `reclaim ${stale.kind}/${stale.id}`,
      () => directory.claim(stale, boot),
      (outcome) => ({ type: "reclaimed", stale, outcome }),
    );
  }

  function tellDraining(boot: Boot, ctx: Ctx): void {
    ctx.run("drain", () => directory.drain(boot), (outcome) => ({ type: "drained", outcome }));
  }

  return {
    init(ctx) {
      beatAfter(ctx, 0);
      lookIn(timings.watchMs, ctx);
      return {
        membership: newMembership(),
        isDraining: false,
        ended: [],
        waiting: [],
        failures: 0,
      };
    },
    view: ({ membership: { watched, ...self }, ended, waiting: _, ...state }) => ({
      ...state,
      ...self,
      watched: watched.size,
      ended: ended.length,
    }),
    on: {
      beatDue({ membership, ended }, _, ctx) {
        const sentAtMs = ctx.now();
        const { incarnation } = membership;
        if (incarnation === null) {
          ctx.run(
            "beat",
            () => directory.join(deps.node, deps.linkKey ?? null),
            (outcome) => ({ type: "joined", sentAtMs, outcome }),
          );
          return;
        }
        const boot = { nodeId, incarnation };
        const beat = { sentAtMs, boot, ended: ended.slice(0, ENDED_MAX) };
        ctx.run(
          "beat",
          () => directory.beat(boot, deps.load(), beat.ended),
          (outcome) => ({ type: "beaten", beat, outcome }),
        );
      },
      joined(state, { sentAtMs, outcome }, ctx) {
        if (!outcome.ok) {
          beatAfter(ctx, timings.retryMs);
          return failed(state, "join", outcome.error);
        }
        const incarnation = outcome.value;
        const boot = { nodeId, incarnation };
        const step = take(state.membership, { type: "joined", sentAtMs, incarnation }, timings);
        const next = follow(state, step, ctx);
        holdings.joined(boot);
        log.info("machine joined", { nodeId, incarnation });
        for (const stale of holdings.stale()) {
          if (deps.movable?.has(stale.kind) !== true) reclaim(stale, boot, ctx);
          else { // others may have acted for it since: the next message begins it anew
            holdings.drop(stale);
            deps.lost(stale);
          }
        }
        if (state.isDraining) tellDraining(boot, ctx);
        for (const reply of state.waiting) reply(boot);
        beatAfter(ctx, timings.beatMs);
        return { ...next, waiting: [] };
      },
      beaten(state, { beat, outcome }, ctx) {
        if (!outcome.ok) {
          beatAfter(ctx, timings.retryMs);
          return failed(state, "beat", outcome.error);
        }
        const { sentAtMs, boot: { incarnation } } = beat;
        const event = { type: "beaten", sentAtMs, incarnation, state: outcome.value } as const;
        const next = follow(state, take(state.membership, event, timings), ctx);
        beatAfter(ctx, next.membership.incarnation === null ? 0 : timings.beatMs);
        return { ...next, ended: state.ended.slice(beat.ended.length) };
      },
      lookDue(_, __, ctx) {
        const sentAtMs = ctx.now();
        ctx.run(
          "look",
          () => directory.nodes(),
          (outcome) => ({ type: "looked", sentAtMs, outcome }),
        );
      },
      looked(state, { sentAtMs, outcome }, ctx) {
        if (!outcome.ok) {
          lookIn(timings.watchMs, ctx);
          return failed(state, "look", outcome.error);
        }
        deps.seen?.(outcome.value);
        const event = { type: "looked", sentAtMs, answeredAtMs: ctx.now(), nodes: outcome.value };
        const step = take(state.membership, { ...event, type: "looked" }, timings);
        lookIn(untilLook(step.next, ctx.now(), timings), ctx);
        return follow(state, step, ctx);
      },
      buried(state, { suspect: { beat: _, ...boot }, outcome }, ctx) {
        if (!outcome.ok) return failed(state, "bury", outcome.error);
        lookIn(0, ctx); // it is gone, by whoever's hand: what it held is to be seen to
        if (outcome.value) log.warn("machine buried: its beat stood still", { ...boot });
        return state;
      },
      reclaimed(state, { stale, outcome }, ctx) {
        const { boot } = holdings;
        if (!outcome.ok) {
          if (boot !== null) reclaim(stale, boot, ctx);
          return failed(state, "claim", outcome.error);
        }
        if (outcome.value !== null && holdings.take(outcome.value)) return state;
        if (boot === null) return state; // buried again: the next boot tries
        holdings.lose(stale);
        log.error("an actor is another machine's by now", { kind: stale.kind, id: stale.id });
        deps.lost({ kind: stale.kind, id: stale.id });
        return state;
      },
      ended(state, { actor }) {
        holdings.drop(actor);
        return { ...state, ended: [...state.ended, actor] };
      },
      whenJoined(state, { reply }) {
        if (holdings.boot !== null) return reply(holdings.boot);
        return { ...state, waiting: [...state.waiting, reply] };
      },
      drain(state, _, ctx) {
        const { boot } = holdings;
        if (boot !== null) tellDraining(boot, ctx);
        return { ...state, isDraining: true, membership: drained(state.membership) };
      },
      drained(state, { outcome }, ctx) {
        const { boot } = holdings;
        if (outcome.ok) return state;
        if (boot !== null) tellDraining(boot, ctx);
        return failed(state, "drain", outcome.error);
      },
    },
  };
}
