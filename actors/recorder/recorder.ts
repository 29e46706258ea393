/** The recorder: commits what happens in all conversations of this machine, in groups, in order. */

import type { Actor, Context, Kind, Outcome, Reply } from "@/actors/runtime/actor.ts";
import type { Database, Sql } from "@/db/client.ts";
import { type Fence, holdsActors } from "@/db/cluster.ts";
import { appendEvents, type NewEvent } from "@/db/events.ts";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";

export type { NewEvent } from "@/db/events.ts";

const GROUP_MS = 20; // with the commit itself, an event is on disk within 50 ms (bench recorder)
const BATCH_MAX = 1_000; // events of one transaction
const COMMIT_MS = 5_000;
/** Conversations are calls, and owned as such. */
const FENCED_KIND = "call";
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;

/** Events that may wait: a minute without the database at 300 calls. Then new ones are dropped and counted. */
export const EVENTS_MAX = 60_000;

export type RecorderMessage =
  /** From a conversation. Of one conversation in the order of `seq`; the same one twice is stored once. */
  | { type: "append"; events: readonly NewEvent[] }
  /** Answered when all that was appended before is committed; the asker's deadline is the only one. */
  | { type: "flush"; reply: Reply<void> }
  /** From itself: the oldest event has waited long enough, or a failed batch may be tried again. */
  | { type: "due" }
  /** From itself: the first `count` events are done with; the value is how many of them were refused. */
  | { type: "committed"; count: number; outcome: Outcome<number> };

export const recorderKind: Kind<RecorderMessage> = {
  name: "recorder",
  controlMax: 10_000,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 1_000 },
  poisonTries: 1,
};

export interface RecorderDeps {
  readonly database: Pick<Database, "asTenant">;
  /** What this machine shows with the events of a call; absent: it writes them as they come. */
  readonly fences?: {
    /** Null: the call was never claimed. */
    fenceOf(callId: string): Fence | null;
    /** Whether a fence that was refused may pass later. */
    isPending(fence: Fence): boolean;
    /** The call is another machine's by now: what it wrote here was refused. */
    fenced(callId: string): void;
  };
  /** Told what has been committed. */
  readonly committed?: (events: readonly NewEvent[]) => void;
  readonly log: Log;
}

export interface RecorderState {
  /** `gathering`: a timer runs; `committing`: a batch is in flight; `waiting`: the last one failed. */
  readonly phase: "idle" | "gathering" | "committing" | "waiting";
  /** Changed in place: without the database, copying it for each event would cost its square. */
  readonly events: NewEvent[];
  /** How many events have been taken, and are done with, since the start. */
  readonly taken: number;
  readonly done: number;
  /** Failures since the last commit. */
  readonly failures: number;
  /** Events dropped since the last commit, for want of room. */
  readonly dropped: number;
  /** Each is answered when `done` has come to `at`. */
  readonly flushes: readonly { readonly at: number; readonly reply: Reply<void> }[];
}

export function recorder(deps: RecorderDeps): Actor<RecorderState, RecorderMessage> {
  const { database, log } = deps;

  /** In the transaction of its commit: those that are ours to write, and no others. */
  async function ours(sql: Sql, events: readonly NewEvent[]): Promise<readonly NewEvent[]> {
    const shown = new Map<string, Fence>();
    for (const { conversationId } of events) {
      const fence = deps.fences?.fenceOf(conversationId) ?? null;
      if (fence !== null) shown.set(conversationId, fence);
    }
    if (shown.size === 0) return events;
    const held = await holdsActors(sql, FENCED_KIND, [...shown.values()]);
    for (const [callId, fence] of shown) {
      if (held.has(callId)) continue;
      if (deps.fences?.isPending(fence)) {
        throw new AppError("fenced", "A call is being claimed anew", { retryable: true });
      }
      log.error("events refused: another machine owns the call", { callId });
      deps.fences?.fenced(callId);
    }
    return events.filter(({ conversationId: id }) => !shown.has(id) || held.has(id));
  }

  /** Commits; returns how many events the database will never take. Throws AppError when it is away. */
  async function commit(events: readonly NewEvent[]): Promise<number> {
    const tenants = [...new Set(events.map((event) => event.tenantId))];
    try {
      return await database.asTenant("calls", tenants, COMMIT_MS, async (sql, withCommit) => {
        const written = await ours(sql, events);
        withCommit(appendEvents(sql, written)); // in one packet: the fence costs no way more
        return events.length - written.length;
      });
    } catch (error) {
      if (error instanceof AppError) throw error;
      // One event that cannot be stored must not keep the others from it: it is found by halving.
      const half = events.length >> 1;
      if (half > 0) return await commit(events.slice(0, half)) + await commit(events.slice(half));
      const { conversationId, seq, type } = events[0] ?? {};
      log.error("event refused by the database", { conversationId, seq, type, error });
      return 1;
    }
  }

  function send(state: RecorderState, ctx: Context<RecorderMessage>): RecorderState {
    ctx.cancel("due");
    const batch = state.events.slice(0, BATCH_MAX);
    const toCommitted = (outcome: Outcome<number>): RecorderMessage => ({
      type: "committed",
      count: batch.length,
      outcome,
    });
    ctx.run("commit", () => commit(batch), toCommitted);
    return { ...state, phase: "committing" };
  }

  function failed(
    state: Readonly<RecorderState>,
    error: AppError,
    ctx: Context<RecorderMessage>,
  ): RecorderState {
    if (state.failures === 0) log.error("cannot commit events: will try again", { error });
    ctx.timer("due", Math.min(RETRY_MIN_MS * 2 ** state.failures, RETRY_MAX_MS), { type: "due" });
    return { ...state, phase: "waiting", failures: state.failures + 1 };
  }

  return {
    init: () => ({
      phase: "idle",
      events: [],
      taken: 0,
      done: 0,
      failures: 0,
      dropped: 0,
      flushes: [],
    }),
    view: ({ events, flushes, ...state }) => ({
      ...state,
      events: events.length,
      flushes: flushes.length,
    }),
    on: {
      append(state, { events }, ctx) {
        const taken = events.slice(0, EVENTS_MAX - state.events.length);
        for (const event of taken) state.events.push(event);
        const lost = events.length - taken.length;
        if (lost > 0 && state.dropped === 0) log.error("recorder is full: events are dropped");
        const next = { ...state, taken: state.taken + taken.length, dropped: state.dropped + lost };
        if (state.phase !== "idle" || taken.length === 0) return next;
        ctx.timer("due", GROUP_MS, { type: "due" });
        return { ...next, phase: "gathering" };
      },
      flush(state, { reply }, ctx) {
        if (state.done === state.taken) return reply();
        const next = { ...state, flushes: [...state.flushes, { at: state.taken, reply }] };
        return state.phase === "gathering" ? send(next, ctx) : next;
      },
      due: (state, _, ctx) => send(state, ctx),
      committed(state, { count, outcome }, ctx) {
        if (!outcome.ok) return failed(state, outcome.error, ctx);
        const stored = state.events.splice(0, count);
        deps.committed?.(stored);
        const done = state.done + count;
        for (const flush of state.flushes) if (flush.at <= done) flush.reply();
        const next = { ...state, done, flushes: state.flushes.filter((flush) => flush.at > done) };
        if (state.failures > 0 || state.dropped > 0) {
          log.warn("events are committed again", { dropped: state.dropped });
        }
        const calm: RecorderState = { ...next, failures: 0, dropped: 0, phase: "idle" };
        return state.events.length > 0 ? send(calm, ctx) : calm;
      },
    },
  };
}
