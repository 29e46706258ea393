/** One pass of the sealer: every tenant with entries to seal, a few at a time. */

import { type Head, type SealedBatch, sealEntries } from "@/db/audit_chain.ts";
import type { Database } from "@/db/client.ts";
import { tenantsToSeal } from "@/db/lookups.ts";
import type { Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";

export type { Head } from "@/db/audit_chain.ts";

/** Tenants of one transaction. */
const TENANTS_MAX = 32;
/** Transactions of one pass; what is left is the next one's. */
const BATCHES_MAX = 64;
const SEAL_MS = 5_000;

export interface Passed {
  readonly entries: number;
  /** The last head of each chain that grew. */
  readonly heads: ReadonlyMap<string, Head>;
  /** True when there is more to seal at once. */
  readonly hasMore: boolean;
}

export interface PassDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
}

/** Throws AppError("database_unavailable"): the pass after it seals what this one did not. */
export async function sealPass(deps: PassDeps): Promise<Passed> {
  const { database } = deps;
  const heads = new Map<string, Head>();
  let entries = 0;
  let hasMore = false;
  let after: string | null = null;
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const page = { after, limit: TENANTS_MAX };
    const tenants: string[] = await database.lookup(
      "jobs",
      SEAL_MS,
      (sql) => tenantsToSeal(sql, page),
    );
    if (tenants.length === 0) return { entries, heads, hasMore };
    const sealed = await seal(deps, tenants);
    entries += sealed.entries;
    for (const [tenantId, head] of sealed.heads) heads.set(tenantId, head);
    hasMore ||= sealed.hasMore;
    after = tenants.at(-1) ?? null;
    if (tenants.length < TENANTS_MAX) return { entries, heads, hasMore };
  }
  return { entries, heads, hasMore: true };
}

/** A chain that cannot be sealed, since somebody has tampered with it, must not keep the others from it. */
async function seal(
  { database, clock, log }: PassDeps,
  tenants: readonly string[],
): Promise<SealedBatch> {
  const sealAll = (ids: readonly string[]): Promise<SealedBatch> =>
    database.asTenant("jobs", ids, SEAL_MS, (sql) => sealEntries(sql, ids, clock.date()));
  try {
    return await sealAll(tenants);
  } catch (error) {
    if (error instanceof AppError) throw error;
  }
  const batches: SealedBatch[] = [];
  for (const tenantId of tenants) {
    try {
      batches.push(await sealAll([tenantId]));
    } catch (error) {
      if (error instanceof AppError) throw error;
      log.error("audit chain cannot be sealed", { tenantId, error });
    }
  }
  return {
    entries: batches.reduce((sum, { entries }) => sum + entries, 0),
    heads: new Map(batches.flatMap(({ heads }) => [...heads])),
    hasMore: batches.some(({ hasMore }) => hasMore),
  };
}
