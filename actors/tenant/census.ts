/** What the database knows of a tenant's use: its counters, and the calls of other machines. */

import { listOpenCalls } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { getUsage } from "@/db/quota.ts";
import type { Clock } from "@/lib/clock.ts";
import type { TenantDeps } from "./tenant.ts";

/** A ring waits for it. */
const CENSUS_MS = 1_000;
const OPEN_MAX = 10_000;
/** No call is as long: a row that is still open was left by a machine that is gone. */
const LONGEST_CALL_MS = 24 * 3_600_000;

/**
 * One machine knows its live calls itself. Where there are several, a row that has not ended is a call somewhere
 * else; those of this machine are among them, and no harm: they are live here as well.
 */
export function tenantCensus(
  database: Database,
  tenantId: string,
  { clock, isAlone }: { readonly clock: Clock; readonly isAlone: () => boolean },
): TenantDeps["census"] {
  return () =>
    database.asTenant("calls", tenantId, CENSUS_MS, async (sql) => {
      const at = clock.date();
      const since = new Date(at.getTime() - LONGEST_CALL_MS);
      const usage = await getUsage(sql, tenantId, at);
      const elsewhere = isAlone()
        ? []
        : await listOpenCalls(sql, tenantId, { since, limit: OPEN_MAX });
      return { usage, at, elsewhere };
    });
}
