/** Leased work of a machine, as jobs and deliveries are: takes what is due while there is room, runs it, lets go. */

import type { Context, Handlers, Outcome, Reply } from "@/actors/runtime/actor.ts";
import type { Log } from "@/lib/log.ts";

const POLL_MS = 500;

/** A row that is this machine's until its lease ends. */
export interface Leased {
  readonly tenantId: string;
  readonly id: string;
  readonly lease: string;
}

/** What a claim came back with. */
export interface Taken<W extends Leased> {
  readonly items: readonly W[];
  /** There may be more, whatever room there is: it is asked again at once. */
  readonly isMore: boolean;
}

/** `T` is what a claim comes back with, `E` how a piece of work ended. */
export type LeasedMessage<T, E> =
  /** From this machine, after a commit: there may be something to do. A hint, which may be lost. */
  | { type: "wake" }
  /** From itself: it has been quiet for a while. */
  | { type: "poll" }
  | { type: "claimed"; outcome: Outcome<T> }
  | { type: "ended"; name: string; outcome: Outcome<E> }
  /** From the house as it closes. Answered when all that ran has been let go; nothing is taken any more. */
  | { type: "drain"; reply: Reply<void> };

export interface LeasedState<W extends Leased> {
  /** A claim that is under way; `again`: a wake came since, which may have been too late for it. */
  readonly claim: "none" | "underWay" | "again";
  /** By `lease/id`. */
  readonly running: ReadonlyMap<string, W>;
  /** The tenant whose turn was last. */
  readonly lastServed: string | null;
  /** Who waits for the drain; null: it is not draining. */
  readonly drained: readonly Reply<void>[] | null;
  readonly doneCount: number;
  readonly failedCount: number;
}

export interface LeasedWork<S, W extends Leased, T extends Taken<W>, E> {
  readonly log: Log;
  /** Whether a claim may find anything to take; absent: always. */
  hasRoom?(state: Readonly<S>): boolean;
  take(state: Readonly<S>): Promise<T>;
  /** What else a claim changes. */
  taken?(state: S, taken: T): S;
  /** The signal aborts when the actor stops, and when it drains. */
  run(work: W, signal: AbortSignal): Promise<E>;
  isDone(end: E): boolean;
  /** What is logged of a claim that failed, and of a piece of work whose lease has to end. */
  readonly cannotTake: string;
  readonly noEnd: string;
}

export interface LeasedPart<S, T, E> {
  /** Takes what is due, if there is room and it is not draining. */
  claim(state: Readonly<S>, ctx: Context<LeasedMessage<T, E>>): S;
  readonly on: Handlers<S, LeasedMessage<T, E>>;
  /** For the actor's own `stopped`. */
  stopped(): void;
}

/** The state to begin with; the first poll is on its way. */
export function newLeased<W extends Leased>(ctx: Context<{ type: "poll" }>): LeasedState<W> {
  ctx.timer("poll", 0, { type: "poll" });
  return {
    claim: "none",
    running: new Map(),
    lastServed: null,
    drained: null,
    doneCount: 0,
    failedCount: 0,
  };
}

/** What operators see of it. */
export function viewLeased(
  { running, drained, doneCount, failedCount }: LeasedState<Leased>,
): Readonly<Record<string, unknown>> {
  return { isDraining: drained !== null, running: running.size, doneCount, failedCount };
}

/** The part of an actor that takes, runs and lets go. */
export function leased<
  S extends LeasedState<W>,
  W extends Leased,
  T extends Taken<W>,
  E,
>(work: LeasedWork<S, W, T, E>): LeasedPart<S, T, E> {
  type Ctx = Context<LeasedMessage<T, E>>;
  const { log } = work;
  const draining = new AbortController();

  function claim(state: Readonly<S>, ctx: Ctx): S {
    if (state.drained !== null) return state;
    if (state.claim !== "none") return { ...state, claim: "again" };
    if (work.hasRoom?.(state) === false) return state; // the next one that ends asks again
    ctx.cancel("poll");
    ctx.run("claim", () => work.take(state), (outcome) => ({ type: "claimed", outcome }));
    return { ...state, claim: "underWay" };
  }

  function start(item: W, ctx: Ctx): string {
    const name = `${item.lease}/${item.id}`;
    ctx.run(
      name,
      (signal) => work.run(item, AbortSignal.any([signal, draining.signal])),
      (outcome) => ({ type: "ended", name, outcome }),
    );
    return name;
  }

  return {
    claim,
    stopped: () => draining.abort(),
    on: {
      wake: (state, _, ctx) => claim(state, ctx),
      poll: (state, _, ctx) => claim(state, ctx),
      claimed(state, { outcome }, ctx) {
        if (!outcome.ok) log.warn(work.cannotTake, { error: outcome.error });
        const items = outcome.ok ? outcome.value.items : [];
        const running = new Map(state.running);
        for (const item of items) running.set(start(item, ctx), item);
        const lastServed = items.at(-1)?.tenantId ?? state.lastServed;
        const served: S = { ...state, claim: "none", running, lastServed };
        const next = outcome.ok ? work.taken?.(served, outcome.value) ?? served : served;
        if (next.drained !== null) return answerDrained(next);
        ctx.timer("poll", POLL_MS, { type: "poll" });
        const isMore = outcome.ok && outcome.value.isMore;
        return state.claim === "again" || isMore ? claim(next, ctx) : next;
      },
      ended(state, { name, outcome }, ctx) {
        const running = new Map(state.running);
        running.delete(name);
        const isDone = outcome.ok && work.isDone(outcome.value);
        const next: S = {
          ...state,
          running,
          doneCount: state.doneCount + (isDone ? 1 : 0),
          failedCount: state.failedCount + (isDone ? 0 : 1),
        };
        if (!outcome.ok) log.warn(work.noEnd, { error: outcome.error }); // its lease will end
        return next.drained !== null ? answerDrained(next) : claim(next, ctx);
      },
      drain(state, { reply }, ctx) {
        draining.abort();
        ctx.cancel("poll");
        return answerDrained({ ...state, drained: [...state.drained ?? [], reply] });
      },
    },
  };
}

/** Whoever waits is told once nothing is under way. */
function answerDrained<S extends LeasedState<Leased>>(state: S): S {
  if (state.running.size > 0 || state.claim !== "none") return state;
  for (const reply of state.drained ?? []) reply();
  return { ...state, drained: [] };
}
