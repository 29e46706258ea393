/** Jobs: work that survives, done at least once. Their clock is the database's (`app_now`). */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export const JOB_STATUSES = ["queued", "running", "done", "dead"] as const;
/** `dead`: failed as often as its kind allows; it stays until it is replayed or purged. */
export type JobStatus = typeof JOB_STATUSES[number];

export interface NewJob {
  readonly id: string;
  readonly kind: string;
  /** The same kind and key is the same job: inserted again, nothing happens. */
  readonly key: string;
  readonly payload: Readonly<Record<string, unknown>>;
  /** At once when absent. */
  readonly runAt?: Date;
}

export interface Job {
  readonly id: string;
  readonly kind: string;
  readonly key: string;
  readonly payload: unknown;
  readonly status: JobStatus;
  readonly runAt: Date;
  /** How many there have been, the one under way included. */
  readonly attempt: number;
  readonly lastError: string | null;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
}

/** One run of a job: `lease` is the token without which it cannot be finished. */
export interface LeasedJob extends Job {
  readonly tenantId: string;
  readonly lease: string;
}
type Lease = Pick<LeasedJob, "tenantId" | "id" | "lease">;

/** In the transaction of what it follows from. False when it is there already. */
export async function insertJob(sql: Sql, tenantId: string, job: NewJob): Promise<boolean> {
  const rows = await sql`
    insert into job (tenant_id, id, kind, key, payload, run_at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("job", job.id)}, ${job.kind}, ${job.key},
      ${asJson(sql, job.payload)}, coalesce(${job.runAt ?? null}::timestamptz, app_now()))
    on conflict do nothing`;
  return rows.count === 1;
}

/** The same job for many tenants at once, who are those of the transaction: one that is there is left as it is. */
export async function insertJobs(
  sql: Sql,
  jobs: readonly { readonly tenantId: string; readonly id: string }[],
  { kind, key }: { readonly kind: string; readonly key: string },
): Promise<void> {
  const tenants = `{${jobs.map((job) => uuidOf("tenant", job.tenantId)).join(",")}}`;
  const ids = `{${jobs.map((job) => uuidOf("job", job.id)).join(",")}}`;
  await sql`
    insert into job (tenant_id, id, kind, key, payload, run_at)
    select tenant_id, id, ${kind}, ${key}, '{}', app_now()
    from unnest(${tenants}::uuid[], ${ids}::uuid[]) as new (tenant_id, id)
    on conflict do nothing`;
}

export async function getJob(sql: Sql, tenantId: string, jobId: string): Promise<Job | null> {
  const [job] = await sql<Job[]>`
    select ${columns(sql)} from job
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("job", jobId)}`;
  return job ?? null;
}

/** Those of them that this lease still has, of the tenants of the transaction. */
export async function listLeasedJobs(
  sql: Sql,
  claimed: readonly { readonly tenantId: string; readonly id: string }[],
  lease: string,
): Promise<LeasedJob[]> {
  const tenants = `{${claimed.map((job) => uuidOf("tenant", job.tenantId)).join(",")}}`;
  const ids = `{${claimed.map((job) => uuidOf("job", job.id)).join(",")}}`;
  return await sql<LeasedJob[]>`
    select 'tenant_' || tenant_id as tenant_id, ${columns(sql)}, lease
    from unnest(${tenants}::uuid[], ${ids}::uuid[]) with ordinality as claimed (tenant_id, id, place)
    join job using (tenant_id, id)
    where lease = ${lease}
    order by place`;
}

/** Newest first. `before` is the id of the last one already seen. */
export async function listJobs(
  sql: Sql,
  tenantId: string,
  page: {
    readonly limit: number;
    readonly before?: string | undefined;
    readonly status?: JobStatus | undefined;
    readonly kind?: string | undefined;
  },
): Promise<Job[]> {
  const { limit, before, status, kind } = page;
  return await sql<Job[]>`
    select ${columns(sql)} from job
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${before === undefined ? sql`` : sql`and job.id < ${uuidOf("job", before)}`}
      ${status === undefined ? sql`` : sql`and status = ${status}`}
      ${kind === undefined ? sql`` : sql`and kind = ${kind}`}
    order by job.id desc
    limit ${limit}`;
}

/** It is this run's for so much longer, from now. False when it has been taken from it. */
export async function extendLease(
  sql: Sql,
  { tenantId, id, lease }: Lease,
  forMs: number,
): Promise<boolean> {
  const rows = await sql`
    update job set lease_until = app_now() + ${forMs}::integer * interval '1 millisecond'
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("job", id)}
      and lease = ${lease}`;
  return rows.count === 1;
}

/** `again`: to be run once more, after `delayMs`, the attempt counted or not. */
export type JobEnd =
  | { readonly type: "done" }
  | { readonly type: "dead"; readonly error: string }
  | {
    readonly type: "again";
    readonly delayMs: number;
    readonly error: string | null;
    readonly isCounted: boolean;
  };

/** False when the lease is no longer this run's: then nothing is changed. */
export async function updateJobEnded(
  sql: Sql,
  { tenantId, id, lease }: Lease,
  end: JobEnd,
): Promise<boolean> {
  const isAgain = end.type === "again";
  const delayMs = isAgain ? end.delayMs : 0;
  const rows = await sql`
    update job set status = ${isAgain ? "queued" : end.type}, lease = null, lease_until = null,
      run_at = case when ${isAgain}
        then app_now() + ${delayMs}::float8 * interval '1 millisecond' else run_at end,
      attempt = attempt - ${isAgain && !end.isCounted ? 1 : 0}::integer,
      last_error = ${end.type === "done" ? null : end.error},
      finished_at = case when ${isAgain} then null else app_now() end
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("job", id)}
      and lease = ${lease}`;
  return rows.count === 1;
}

/** A dead job starts anew, its attempts counted from nought. False when it is not dead, or not there. */
export async function updateJobReplayed(
  sql: Sql,
  tenantId: string,
  jobId: string,
): Promise<boolean> {
  const rows = await sql`
    update job set status = 'queued', attempt = 0, run_at = app_now(), finished_at = null
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("job", jobId)}
      and status = 'dead'`;
  return rows.count === 1;
}

/** Up to `limit` dead jobs of a kind start anew; returns how many. */
export async function updateJobsReplayed(
  sql: Sql,
  tenantId: string,
  { kind, limit }: { readonly kind: string; readonly limit: number },
): Promise<number> {
  const rows = await sql`
    update job set status = 'queued', attempt = 0, run_at = app_now(), finished_at = null
    where tenant_id = ${uuidOf("tenant", tenantId)} and id in (
      select id from job
      where tenant_id = ${uuidOf("tenant", tenantId)} and kind = ${kind} and status = 'dead'
      order by id limit ${limit})`;
  return rows.count;
}

/** Up to `limit` jobs that came to their end so long ago; returns how many. */
export async function deleteJobs(
  sql: Sql,
  tenantId: string,
  past: { readonly status: "done" | "dead"; readonly days: number; readonly limit: number },
): Promise<number> {
  const rows = await sql`
    delete from job where tenant_id = ${uuidOf("tenant", tenantId)} and id in (
      select id from job
      where tenant_id = ${uuidOf("tenant", tenantId)} and status = ${past.status}
        and finished_at < app_now() - ${past.days}::integer * interval '1 day'
      order by id limit ${past.limit})`;
  return rows.count;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'job_' || id as id, kind, key, payload, status, run_at, attempt, last_error,
    created_at, finished_at`;
}
