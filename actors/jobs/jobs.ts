/** The jobs of a machine: takes what is due, of one tenant after the other, and runs a few at a time. */

import type { Actor, Context, Kind, Outcome, Reply } from "@/actors/runtime/actor.ts";
import type { Services } from "@/actors/desk/office.ts";
import { claimJobs, type JobClaim, type Tick, type TickClaim } from "@/db/claims.ts";
import { type LeasedJob, listLeasedJobs } from "@/db/jobs.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import type { AnyKind, Cron, HouseCron } from "./kind.ts";
import { type RunEnd, runJob } from "./run.ts";
import { enqueueForAll, lastTick, nextTick, runTick } from "./ticks.ts";

/** Jobs under way on a machine, and those of one tenant: the rest is free for whoever comes. */
export const IN_FLIGHT_MAX = 8;
export const OF_TENANT_MAX = 4;
const POLL_MS = 500;
const CRON_MS = 60_000; // patterns are looked at so often at least
const CLAIM_MS = 5_000;

export type JobsMessage =
  /** From this machine, after a commit: there may be something to do. A hint, which may be lost. */
  | { type: "wake" }
  /** From itself: it has been quiet for a while. */
  | { type: "poll" }
  | { type: "claimed"; outcome: Outcome<readonly LeasedJob[]> }
  | { type: "ended"; name: string; outcome: Outcome<RunEnd> }
  /** From itself: a pattern may be due. */
  | { type: "cron" }
  | { type: "ticked"; name: string; outcome: Outcome<TickClaim> }
  /** From the house as it closes. Answered when all that ran has been sent back; nothing is taken any more. */
  | { type: "drain"; reply: Reply<void> };

export const jobsKind: Kind<JobsMessage> = {
  name: "jobs",
  controlMax: 10_000,
  restart: "permanent",
  intensity: { restarts: 10, withinMs: 60_000 },
  backoff: { minMs: 100, maxMs: 10_000 },
  poisonTries: 1,
};

export interface JobsDeps {
  readonly services: Services;
  readonly kinds: Readonly<Record<string, AnyKind>>;
  readonly houseCron: Readonly<Record<string, HouseCron>>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface JobsState {
  /** A claim that is under way; `again`: a wake came since, which may have been too late for it. */
  readonly claim: "none" | "underWay" | "again";
  /** By `lease/id`. */
  readonly running: ReadonlyMap<string, LeasedJob>;
  readonly lastServed: string | null;
  /** The tick that each pattern has been run for, or is being run for, in milliseconds. */
  readonly ticks: ReadonlyMap<string, number>;
  /** Who waits for the drain; null: it is not draining. */
  readonly drained: readonly Reply<void>[] | null;
  readonly doneCount: number;
  readonly failedCount: number;
}

export function jobs(deps: JobsDeps): Actor<JobsState, JobsMessage> {
  const { services, kinds, houseCron } = deps;
  const { database, log } = services;
  const draining = new AbortController();
  const patterns: Readonly<Record<string, Cron>> = {
    ...houseCron,
    ...Object.fromEntries(
      Object.entries(kinds).flatMap(([name, { cron }]) => cron === undefined ? [] : [[name, cron]]),
    ),
  };

  /** What is taken and cannot be read is another's when its lease has ended. */
  async function take(wanted: JobClaim): Promise<LeasedJob[]> {
    const claimed = await database.lookup("jobs", CLAIM_MS, (sql) => claimJobs(sql, wanted));
    if (claimed.length === 0) return [];
    const tenants = [...new Set(claimed.map(({ tenantId }) => tenantId))];
    return await database.asTenant(
      "jobs",
      tenants,
      CLAIM_MS,
      (sql) => listLeasedJobs(sql, claimed, wanted.lease),
    );
  }

  function claim(state: Readonly<JobsState>, ctx: Context<JobsMessage>): JobsState {
    if (state.drained !== null) return state;
    if (state.claim !== "none") return { ...state, claim: "again" };
    const room = IN_FLIGHT_MAX - state.running.size;
    if (room === 0) return state; // the next one that ends asks again
    const wanted: JobClaim = {
      lease: crypto.randomUUID(),
      room,
      kinds: roomOf(kinds, state.running),
      busy: [...state.running.values()].map(({ tenantId }) => tenantId),
      tenantMax: OF_TENANT_MAX,
      lastServed: state.lastServed,
    };
    ctx.cancel("poll");
    ctx.run(
      "claim",
      () => take(wanted),
      (outcome) => ({ type: "claimed", outcome }),
    );
    return { ...state, claim: "underWay" };
  }

  function start(job: LeasedJob, ctx: Context<JobsMessage>): string {
    const name = `${job.lease}/${job.id}`;
    ctx.run(
      name,
      (signal) => runJob(deps, job, AbortSignal.any([signal, draining.signal])),
      (outcome) => ({ type: "ended", name, outcome }),
    );
    return name;
  }

  /** A pattern's run of a tick. What is thrown is told, and the tick is tried again. */
  async function runCron(name: string, tick: Tick, signal: AbortSignal): Promise<void> {
    const own = houseCron[name];
    if (own === undefined) return await enqueueForAll(database, tick, signal);
    try {
      await own.run(services, signal);
    } catch (cause) {
      throw cause instanceof AppError
        ? cause
        : new AppError("internal", messageOf(cause), { cause });
    }
  }

  /** Starts each pattern's last tick if it has not been run yet, and looks again when the next one is due. */
  function startDue(state: Readonly<JobsState>, ctx: Context<JobsMessage>): JobsState {
    const now = ctx.date();
    const ticks = new Map(state.ticks);
    let waitMs = CRON_MS;
    for (const [name, cron] of Object.entries(patterns)) {
      const next = nextTick(cron, now);
      if (next !== null) waitMs = Math.min(waitMs, next.getTime() - now.getTime());
      const at = lastTick(cron, now);
      if (at === null || ticks.get(name) === at.getTime()) continue;
      ticks.set(name, at.getTime());
      const tick = { kind: name, at, lease: crypto.randomUUID() };
      ctx.run(
        `cron/${name}`,
        (signal) => runTick(database, tick, () => runCron(name, tick, signal)),
        (outcome) => ({ type: "ticked", name, outcome }),
      );
    }
    ctx.timer("cron", waitMs, { type: "cron" });
    return { ...state, ticks };
  }

  return {
    init(ctx) {
      ctx.timer("poll", 0, { type: "poll" });
      ctx.timer("cron", 0, { type: "cron" });
      return {
        claim: "none",
        running: new Map(),
        lastServed: null,
        ticks: new Map(),
        drained: null,
        doneCount: 0,
        failedCount: 0,
      };
    },
    view: ({ running, drained, doneCount, failedCount }) => ({
      isDraining: drained !== null,
      running: running.size,
      doneCount,
      failedCount,
    }),
    stopped: () => draining.abort(),
    on: {
      wake: (state, _, ctx) => claim(state, ctx),
      poll: (state, _, ctx) => claim(state, ctx),
      claimed(state, { outcome }, ctx) {
        if (!outcome.ok) log.warn("cannot claim jobs: will try again", { error: outcome.error });
        const claimed = outcome.ok ? outcome.value : [];
        const running = new Map(state.running);
        for (const job of claimed) running.set(start(job, ctx), job);
        const lastServed = claimed.at(-1)?.tenantId ?? state.lastServed;
        const next: JobsState = { ...state, claim: "none", running, lastServed };
        if (next.drained !== null) return answerDrained(next);
        ctx.timer("poll", POLL_MS, { type: "poll" });
        return state.claim === "again" ? claim(next, ctx) : next;
      },
      ended(state, { name, outcome }, ctx) {
        const running = new Map(state.running);
        running.delete(name);
        const isDone = outcome.ok && outcome.value === "done";
        const next: JobsState = {
          ...state,
          running,
          doneCount: state.doneCount + (isDone ? 1 : 0),
          failedCount: state.failedCount + (isDone ? 0 : 1),
        };
        if (!outcome.ok) log.warn("job came to no end", { error: outcome.error }); // its lease will end
        return next.drained !== null ? answerDrained(next) : claim(next, ctx);
      },
      cron: (state, _, ctx) => startDue(state, ctx),
      ticked(state, { name, outcome }, ctx) {
        if (!outcome.ok) log.warn("cron failed: will try again", { name, error: outcome.error });
        if (outcome.ok && outcome.value === "done") return claim(state, ctx);
        const ticks = new Map(state.ticks);
        ticks.delete(name);
        return { ...state, ticks };
      },
      drain(state, { reply }, ctx) {
        draining.abort();
        ctx.cancel("cron");
        ctx.cancel("poll");
        return answerDrained({ ...state, drained: [...state.drained ?? [], reply] });
      },
    },
  };
}

function answerDrained(state: JobsState): JobsState {
  if (state.running.size > 0 || state.claim !== "none") return state;
  for (const reply of state.drained ?? []) reply();
  return { ...state, drained: [] };
}

/** How many more of each kind may be taken, and for how long. */
function roomOf(
  kinds: JobsDeps["kinds"],
  running: JobsState["running"],
): Record<string, { room: number; leaseMs: number }> {
  const names = [...running.values()].map(({ kind }) => kind);
  return Object.fromEntries(
    Object.entries(kinds).map(([name, { room = IN_FLIGHT_MAX, leaseMs }]) => [
      name,
      { room: room - names.filter((kind) => kind === name).length, leaseMs },
    ]),
  );
}
