/** Purging: finished jobs are forgotten after some days. */

import { z } from "zod";
import { deleteJobs } from "@/db/jobs.ts";
import { jobKind } from "./kind.ts";

const DONE_DAYS = 7;
const DEAD_DAYS = 30;
const BATCH_MAX = 1_000;
const BATCHES_MAX = 1_000; // a million a day

export const purge = jobKind({
  payload: z.strictObject({}),
  attempts: 5,
  leaseMs: 60_000,
  room: 2,
  cron: { pattern: "40 3 * * *" },
  async run({ tenantId, read, signal }) {
    for (const [status, days] of [["done", DONE_DAYS], ["dead", DEAD_DAYS]] as const) {
      for (let batch = 0; batch < BATCHES_MAX; batch++) {
        signal.throwIfAborted();
        const past = { status, days, limit: BATCH_MAX };
        if (await read((sql) => deleteJobs(sql, tenantId, past)) < BATCH_MAX) break;
      }
    }
  },
});
