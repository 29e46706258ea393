/** Errands on jobs: what is to be done, what has failed for good, and doing it again. */

import {
  getJob,
  type Job,
  type JobStatus,
  listJobs,
  updateJobReplayed,
  updateJobsReplayed,
} from "@/db/jobs.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { errand } from "./errand.ts";

export { JOB_STATUSES } from "@/db/jobs.ts";

const REPLAY_MAX = 10_000; // of one request

/** Its payload is the house's own, and not shown. */
export interface JobView {
  readonly id: string;
  readonly kind: string;
  readonly key: string;
  readonly status: JobStatus;
  readonly attempts: number;
  /** Of the next attempt, or of the one that was last. */
  readonly runAt: string;
  readonly lastError: string | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}

export const jobErrands = {
  /** Newest first; `cursor` is the id of the last one already seen. */
  jobs: errand(
    "jobs:read",
    async (
      { read, tenantId },
      { limit, cursor, status, kind }: {
        readonly limit: number;
        readonly cursor?: string | undefined;
        readonly status?: JobStatus | undefined;
        readonly kind?: string | undefined;
      },
    ): Promise<{ items: JobView[]; next: string | null }> => {
      if (cursor !== undefined && uuidOf("job", cursor) === null) {
        throw new AppError("invalid", "Not a cursor that was given out", { field: "cursor" });
      }
      const page = { limit, before: cursor, status, kind };
      const items = (await read((sql) => listJobs(sql, tenantId, page))).map(toView);
      return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
    },
  ),

  job: errand("jobs:read", async ({ read, tenantId }, id: string): Promise<JobView> => {
    const job = uuidOf("job", id) && await read((sql) => getJob(sql, tenantId, id));
    if (!job) throw noJob();
    return toView(job);
  }),

  replayJob: errand(
    "jobs:write",
    async ({ act, tenantId, wakeJobs }, id: string): Promise<JobView> => {
      if (uuidOf("job", id) === null) throw noJob();
      const replayed = await act(async ({ sql, audit }) => {
        const before = await getJob(sql, tenantId, id);
        if (before === null) throw noJob();
        if (!await updateJobReplayed(sql, tenantId, id)) {
          throw new AppError("conflict", `Cannot replay a job that is ${before.status}`);
        }
        await audit({ action: "job.replayed", subjectId: id, details: { kind: before.kind } });
        return await getJob(sql, tenantId, id) ?? before;
      });
      wakeJobs();
      return toView(replayed);
    },
  ),

  /** All dead jobs of a kind, up to REPLAY_MAX of them. */
  replayJobs: errand(
    "jobs:write",
    async (
      { act, tenantId, wakeJobs },
      { kind }: { readonly kind: string },
    ): Promise<{ replayed: number }> => {
      const replayed = await act(async ({ sql, audit }) => {
        const count = await updateJobsReplayed(sql, tenantId, { kind, limit: REPLAY_MAX });
        await audit({ action: "jobs.replayed", subjectId: tenantId, details: { kind, count } });
        return count;
      });
      wakeJobs();
      return { replayed };
    },
  ),
};

function noJob(): AppError {
  return new AppError("not_found", "No such job");
}

function toView(job: Job): JobView {
  const { id, kind, key, status, attempt, lastError } = job;
  return {
    ...{ id, kind, key, status, attempts: attempt, lastError },
    runAt: job.runAt.toISOString(),
    createdAt: job.createdAt.toISOString(),
    finishedAt: job.finishedAt?.toISOString() ?? null,
  };
}
