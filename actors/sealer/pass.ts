/** One pass of the sealer, over the entries of all tenants: bounded, what is left is the next one's. */

import { type SealedBatch, sealEntries } from "@/db/audit_chain.ts";
import type { Database } from "@/db/client.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";

export type { Head } from "@/db/audit_chain.ts";

const SEAL_MS = 5_000;

/** `heads`: the last one of each chain that grew. */
export type Passed = Omit<SealedBatch, "stuck">;

export interface PassDeps {
  readonly database: Pick<Database, "lookup">;
  readonly clock: Clock;
  readonly log: Log;
}

/** Throws AppError("database_unavailable"): the pass after it seals what this one did not. */
export async function sealPass({ database, clock, log }: PassDeps): Promise<Passed> {
  const { stuck, ...passed } = await database.lookup(
    "jobs",
    SEAL_MS,
    (sql) => sealEntries(sql, clock.date()),
  );
  for (const tenantId of stuck) log.error("audit chain cannot be sealed", { tenantId });
  return passed;
}
