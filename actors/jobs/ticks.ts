/** Ticks: when a pattern was last due, and when it is next; and the run of one, by one machine of all. */

import { Cron as Pattern } from "croner";
import { claimTick, type Tick, type TickClaim, updateTickDone } from "@/db/claims.ts";
import type { Database } from "@/db/client.ts";
import { insertJobs } from "@/db/jobs.ts";
import { tenantsAfter } from "@/db/lookups.ts";
import { newId } from "@/lib/ids.ts";
import type { Cron } from "./kind.ts";

/** A tick's run is another machine's to try again after so long. */
export const HOUSE_RUN_MS = 5 * 60_000;
const SQL_MS = 5_000;
const TENANTS_MAX = 500; // that get their job in one transaction

/** The last tick at or before `now`; null: there has been none. */
export function lastTick({ pattern, timezone = "UTC" }: Cron, now: Date): Date | null {
  const before = new Date(now.getTime() + 1); // what is asked for is strictly before
  const [last] = new Pattern(pattern, { timezone, paused: true }).previousRuns(1, before);
  return last ?? null;
}

/** The first tick after `now`; null: there will be none. */
export function nextTick({ pattern, timezone = "UTC" }: Cron, now: Date): Date | null {
  return new Pattern(pattern, { timezone, paused: true }).nextRun(now);
}

/** Runs `work` if this tick is still to be run. What it throws leaves the tick to whoever asks when the lease has ended. */
export async function runTick(
  database: Pick<Database, "lookup">,
  tick: Tick,
  work: () => Promise<void>,
): Promise<TickClaim> {
  const claim = await database.lookup(
    "jobs",
    SQL_MS,
    (sql) => claimTick(sql, tick, HOUSE_RUN_MS),
  );
  if (claim !== "claimed") return claim;
  await work();
  await database.lookup("jobs", SQL_MS, (sql) => updateTickDone(sql, tick));
  return "done";
}

/** Gives every tenant its job of this tick; those that have it already are left as they are. */
export async function enqueueForAll(
  database: Pick<Database, "lookup" | "asTenant">,
  tick: Tick,
  signal: AbortSignal,
): Promise<void> {
  const key = tick.at.toISOString();
  let last: string | null = null;
  do {
    signal.throwIfAborted();
    const page: string[] = await database.lookup(
      "jobs",
      SQL_MS,
      (sql) => tenantsAfter(sql, { after: last, limit: TENANTS_MAX }),
    );
    const jobs = page.map((tenantId) => ({ tenantId, id: newId("job") }));
    if (jobs.length === 0) return;
    await database.asTenant(
      "jobs",
      page,
      SQL_MS,
      (sql) => insertJobs(sql, jobs, { kind: tick.kind, key }),
    );
    last = page.length < TENANTS_MAX ? null : page.at(-1) ?? null;
  } while (last !== null);
}
