/** The jobs of a machine: takes what is due, of one tenant after the other, and runs a few at a time. */

import {
  leased,
  type LeasedMessage,
  type LeasedState,
  newLeased,
  type Taken,
  viewLeased,
} from "@/actors/leased.ts";
import type { Actor, Context, Kind, Outcome } from "@/actors/runtime/actor.ts";
import type { Services } from "@/actors/desk/office.ts";
import { claimJobs, type Tick, type TickClaim } from "@/db/claims.ts";
import { type LeasedJob, listLeasedJobs } from "@/db/jobs.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import type { AnyKind, Cron, HouseCron } from "./kind.ts";
import { type RunEnd, runJob } from "./run.ts";
import { enqueueForAll, lastTick, nextTick, runTick } from "./ticks.ts";

/** Jobs under way on a machine, and those of one tenant: the rest is free for whoever comes. */
export const IN_FLIGHT_MAX = 8;
export const OF_TENANT_MAX = 4;
const CRON_MS = 60_000; // patterns are looked at so often at least
const CLAIM_MS = 5_000;

export type JobsMessage =
  | LeasedMessage<Taken<LeasedJob>, RunEnd>
  /** From itself: a pattern may be due. */
  | { type: "cron" }
  | { type: "ticked"; name: string; outcome: Outcome<TickClaim> };

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
  /** Are jobs put off, because the machine is hard pressed? Whoever says so wakes us when they are no more. */
  readonly isShed?: () => boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface JobsState extends LeasedState<LeasedJob> {
  /** The tick that each pattern has been run for, or is being run for, in milliseconds. */
  readonly ticks: ReadonlyMap<string, number>;
}

export function jobs(deps: JobsDeps): Actor<JobsState, JobsMessage> {
  const { services, kinds, houseCron } = deps;
  const { database, log } = services;
  const patterns: Readonly<Record<string, Cron>> = {
    ...houseCron,
    ...Object.fromEntries(
      Object.entries(kinds).flatMap(([name, { cron }]) => cron === undefined ? [] : [[name, cron]]),
    ),
  };

  /** What is taken and cannot be read is another's when its lease has ended. */
  async function take({ running, lastServed }: Readonly<JobsState>): Promise<Taken<LeasedJob>> {
    const lease = crypto.randomUUID();
    const claimed = await database.lookup("jobs", CLAIM_MS, (sql) =>
      claimJobs(sql, {
        lease,
        room: IN_FLIGHT_MAX - running.size,
        kinds: roomOf(kinds, running),
        busy: [...running.values()].map(({ tenantId }) => tenantId),
        tenantMax: OF_TENANT_MAX,
        lastServed,
      }));
    if (claimed.length === 0) return { items: [], isMore: false };
    const tenants = [...new Set(claimed.map(({ tenantId }) => tenantId))];
    const items = await database.asTenant(
      "jobs",
      tenants,
      CLAIM_MS,
      (sql) => listLeasedJobs(sql, claimed, lease),
    );
    return { items, isMore: false };
  }

  const { claim, on, stopped } = leased({
    log,
    hasRoom: ({ running }: Readonly<JobsState>) =>
      running.size < IN_FLIGHT_MAX && deps.isShed?.() !== true,
    take,
    run: (job: LeasedJob, signal) => runJob(deps, job, signal),
    isDone: (end) => end === "done",
    cannotTake: "cannot claim jobs: will try again",
    noEnd: "job came to no end",
  });

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
      ctx.timer("cron", 0, { type: "cron" });
      return { ...newLeased(ctx), ticks: new Map() };
    },
    view: viewLeased,
    stopped,
    on: {
      ...on,
      cron: (state, _, ctx) => startDue(state, ctx),
      ticked(state, { name, outcome }, ctx) {
        if (!outcome.ok) log.warn("cron failed: will try again", { name, error: outcome.error });
        if (outcome.ok && outcome.value === "done") return claim(state, ctx);
        const ticks = new Map(state.ticks);
        ticks.delete(name);
        return { ...state, ticks };
      },
      drain(state, message, ctx) {
        ctx.cancel("cron");
        return on.drain(state, message, ctx);
      },
    },
  };
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
