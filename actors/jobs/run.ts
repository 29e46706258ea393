/** One run of a job: under its lease, as its tenant, to an end that is written down. */

import { act } from "@/db/act.ts";
import { extendLease, type JobEnd, type LeasedJob, updateJobEnded } from "@/db/jobs.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { orAborted } from "@/lib/until_aborted.ts";
import type { Services } from "@/actors/desk/office.ts";
import { backoffMs } from "./backoff.ts";
import type { AnyKind, JobContext } from "./kind.ts";

export const RUN_MS = 15 * 60_000;
const SQL_MS = 5_000;
const ACT_MS = 10_000;
const ERROR_MAX = 500;
/** A lease is renewed when a third of it has passed: one renewal may fail. */
const RENEWALS = 3;

export interface RunDeps {
  readonly services: Services;
  readonly kinds: Readonly<Record<string, AnyKind>>;
  readonly random: () => number;
}

/** `lost`: another run has it, which alone may finish it. */
export type RunEnd = JobEnd["type"] | "lost";

/** `draining` sends the job back to the queue, as if it had not been tried. Throws AppError without a database. */
export async function runJob(
  deps: RunDeps,
  job: LeasedJob,
  draining: AbortSignal,
): Promise<RunEnd> {
  const { database, log } = deps.services;
  const end = await endOf(deps, job, draining);
  const isWritten = end !== null &&
    await database.asTenant("jobs", job.tenantId, SQL_MS, (sql) => updateJobEnded(sql, job, end));
  const told = { jobId: job.id, kind: job.kind, attempt: job.attempt };
  if (!isWritten) {
    log.warn("job lost its lease", told);
    return "lost";
  }
  if (end.type === "dead") log.error("job is dead", told);
  return end.type;
}

/** How the run came out; null: its lease is lost. */
async function endOf(
  deps: RunDeps,
  job: LeasedJob,
  draining: AbortSignal,
): Promise<JobEnd | null> {
  const { services, kinds, random } = deps;
  const kind = kinds[job.kind];
  if (kind === undefined) throw new Error(`Claimed a job of unknown kind "${job.kind}"`);
  const run = kind.prepare(job.payload);
  if (run === null) return { type: "dead", error: "The payload does not fit its kind" };
  if (job.attempt > kind.attempts) { // whoever ran the last one died of it, or with it
    return { type: "dead", error: job.lastError ?? "The last attempt did not come to an end" };
  }

  const over = new AbortController();
  const tooLong = new AppError("unknown_outcome", "The run took too long");
  const lost = new AppError("conflict", "The lease is lost");
  const disarm = services.clock.timer(kind.maxMs ?? RUN_MS, () => over.abort(tooLong));
  const release = keepLease(services, job, kind.leaseMs, () => over.abort(lost));
  const signal = AbortSignal.any([draining, over.signal]);
  try {
    signal.throwIfAborted();
    await orAborted(run(contextOf(services, job, signal)), signal);
    return { type: "done" };
  } catch (error) {
    if (over.signal.reason === lost) return null;
    if (draining.aborted) return { type: "again", delayMs: 0, error: null, isCounted: false };
    return failed(error, job, kind, { services, random });
  } finally {
    disarm();
    release();
  }
}

function failed(
  error: unknown,
  job: LeasedJob,
  kind: AnyKind,
  { services, random }: Pick<RunDeps, "services" | "random">,
): JobEnd {
  const { id: jobId, kind: name, attempt } = job;
  if (error instanceof AppError) {
    services.log.warn("job failed", { jobId, kind: name, attempt, error });
  } else {
    services.log.error("job crashed", { jobId, kind: name, attempt, error });
  }
  const text = errorText(error);
  if (attempt >= kind.attempts) return { type: "dead", error: text };
  const retryAfterS = error instanceof AppError ? error.retryAfterS : undefined;
  const delayMs = backoffMs(attempt, { random, retryAfterS });
  return { type: "again", delayMs, error: text, isCounted: true };
}

/** Our own words only: the text of any other error may hold what a tenant keeps secret. */
function errorText(error: unknown): string {
  if (error instanceof AppError) {
    return `${error.code}: ${error.message}`.replaceAll("\0", "").slice(0, ERROR_MAX);
  }
  return error instanceof Error ? error.name : "Error";
}

function contextOf(
  services: Services,
  { tenantId, id, kind, key, attempt }: LeasedJob,
  signal: AbortSignal,
): JobContext {
  const { database, clock } = services;
  const actor = { actorKind: "system", actorId: kind, requestId: null, address: null } as const;
  const bounds = { tenantId, pool: "jobs", deadlineMs: ACT_MS } as const;
  return {
    ...services,
    tenantId,
    job: { id, kind, key, attempt },
    signal,
    read: (work) => database.asTenant("jobs", tenantId, ACT_MS, work),
    act: (work) => act({ ...bounds, database, clock, committed: services, actor }, work),
  };
}

/** Renews it until cancelled; `lost` is told when it is another's, or when no renewal has come through in time. */
function keepLease(
  { database, clock }: Pick<Services, "database"> & { readonly clock: Clock },
  job: LeasedJob,
  leaseMs: number,
  lost: () => void,
): Cancel {
  let renewedAt = clock.now();
  let isOver = false;
  let disarm: Cancel = clock.timer(leaseMs / RENEWALS, () => void renew());

  async function renew(): Promise<void> {
    const at = clock.now();
    const extended = await database
      .asTenant("jobs", job.tenantId, SQL_MS, (sql) => extendLease(sql, job, leaseMs))
      .catch(() => null); // without a database: it is this run's until its time is up
    if (isOver) return;
    if (extended) renewedAt = at;
    if (extended === false || clock.now() - renewedAt >= leaseMs) return lost();
    disarm = clock.timer(leaseMs / RENEWALS, () => void renew());
  }

  return () => {
    isOver = true;
    disarm();
  };
}
