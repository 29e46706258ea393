/** Jobs: work that survives, done at least once. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export interface NewJob {
  readonly id: string;
  readonly kind: string;
  /** The same kind and key is the same job: inserted again, nothing happens. */
  readonly key: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly runAt: Date;
}

/** In the transaction of what it follows from. False when it is there already. */
export async function insertJob(sql: Sql, tenantId: string, job: NewJob): Promise<boolean> {
  const rows = await sql`
    insert into job (tenant_id, id, kind, key, payload, run_at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("job", job.id)}, ${job.kind}, ${job.key},
      ${asJson(sql, job.payload)}, ${job.runAt})
    on conflict do nothing`;
  return rows.count === 1;
}
