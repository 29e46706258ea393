/** Purging: finished jobs, and events with their deliveries, are forgotten after some days. */

import { z } from "zod";
import type { Sql } from "@/db/client.ts";
import { deleteJobs } from "@/db/jobs.ts";
import { deleteOutboxEvents } from "@/db/outbox.ts";
import { jobKind } from "./kind.ts";

const DONE_DAYS = 7;
const DEAD_DAYS = 30;
const EVENT_DAYS = 30; // an event can be replayed for so long
const BATCH_MAX = 1_000;
const BATCHES_MAX = 1_000; // a million a day

export const purge = jobKind({
  payload: z.strictObject({}),
  attempts: 5,
  leaseMs: 60_000,
  room: 2,
  cron: { pattern: "40 3 * * *" },
  async run({ tenantId, read, signal }) {
    const limit = BATCH_MAX;
    const deletions: ((sql: Sql) => Promise<number>)[] = [
      (sql) => deleteJobs(sql, tenantId, { status: "done", days: DONE_DAYS, limit }),
      (sql) => deleteJobs(sql, tenantId, { status: "dead", days: DEAD_DAYS, limit }),
      (sql) => deleteOutboxEvents(sql, tenantId, { days: EVENT_DAYS, limit }),
    ];
    for (const deletion of deletions) {
      for (let batch = 0; batch < BATCHES_MAX; batch++) {
        signal.throwIfAborted();
        if (await read(deletion) < limit) break;
      }
    }
  },
});
