/** Retention: what a tenant keeps for some days only, and its days are over. */

import { CUT_ACTION, insertAuditEntry } from "@/db/audit.ts";
import { getCut } from "@/db/audit_chain.ts";
import type { Database, Sql } from "@/db/client.ts";
import { cutAudit, listCallsEndedBefore } from "@/db/erasure.ts";
import { getTenant } from "@/db/tenants.ts";
import type { Vault } from "@/db/vault.ts";
import { newId } from "@/lib/ids.ts";
import { addCounts, erase } from "./erasers.ts";
import type { TenantSettings } from "./tenant.ts";

/** Of one transaction. */
const CALLS_MAX = 100;
const ENTRIES_MAX = 1_000;
/** Transactions of one run and kind; what is left is the next run's. */
const BATCHES_MAX = 1_000;
const BATCH_MS = 10_000;
const DAY_MS = 86_400_000;

export interface RetentionDeps {
  readonly database: Database;
  readonly vault: Vault;
}

export interface Retained {
  /** Erased, by what it was. */
  readonly counts: Readonly<Record<string, number>>;
  /** True when the run ended at its bound, before its work. */
  readonly hasMore: boolean;
}

/**
 * Deletes what is older than the tenant's settings allow at `date`, in transactions of their own: a run
 * that is broken off is gone on with by the next. Without a setting, all is kept for ever.
 */
export async function retainTenant(
  { database, vault }: RetentionDeps,
  tenantId: string,
  date: Date,
  signal?: AbortSignal,
): Promise<Retained> {
  const read = <T>(work: (sql: Sql) => Promise<T>): Promise<T> =>
    database.asTenant("jobs", tenantId, BATCH_MS, work);
  const tenant = await read((sql) => getTenant(sql, tenantId));
  const settings: TenantSettings = tenant?.settings ?? {};
  const deps = { tenantId, vault, read };
  const calls = await retainCalls(deps, daysBefore(date, settings.callRetentionDays), date, signal);
  const before = daysBefore(date, settings.auditRetentionDays);
  const entries = await retainAudit(deps, before, date, signal);
  return {
    counts: { ...calls.counts, ...entries.counts },
    hasMore: calls.hasMore || entries.hasMore,
  };
}

interface Deps {
  readonly tenantId: string;
  readonly vault: Vault;
  read<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}

const NOTHING: Retained = { counts: {}, hasMore: false };

function daysBefore(date: Date, days: number | null | undefined): Date | null {
  return days ? new Date(date.getTime() - days * DAY_MS) : null;
}

async function retainCalls(
  deps: Deps,
  before: Date | null,
  date: Date,
  signal?: AbortSignal,
): Promise<Retained> {
  if (before === null) return NOTHING;
  const { tenantId, read } = deps;
  const counts: Record<string, number> = {};
  let hasMore = true;
  for (let batch = 0; batch < BATCHES_MAX && hasMore && !signal?.aborted; batch++) {
    const callIds = await read((sql) => listCallsEndedBefore(sql, tenantId, before, CALLS_MAX));
    hasMore = callIds.length === CALLS_MAX;
    if (callIds.length > 0) addCounts(counts, await erase(deps, { callIds, number: null }));
  }
  if (counts["calls"]) {
    const details = { before: before.toISOString(), counts };
    await read((sql) => note(sql, tenantId, { at: date, action: "calls.expired", details }));
  }
  return { counts, hasMore };
}

/** The chain stays verifiable: the entry that says where it was cut is in it. */
async function retainAudit(
  { tenantId, read }: Deps,
  before: Date | null,
  date: Date,
  signal?: AbortSignal,
): Promise<Retained> {
  if (before === null) return NOTHING;
  let auditEntries = 0;
  let hasMore = true;
  for (let batch = 0; batch < BATCHES_MAX && hasMore && !signal?.aborted; batch++) {
    const count = await read(async (sql) => {
      const count = await cutAudit(sql, tenantId, before, ENTRIES_MAX);
      const cut = count === 0 ? null : await getCut(sql, tenantId);
      if (cut !== null) {
        const details = { seq: cut.seq, hash: cut.hash.toHex(), count };
        await note(sql, tenantId, { at: date, action: CUT_ACTION, details });
      }
      return count;
    });
    auditEntries += count;
    hasMore = count === ENTRIES_MAX;
  }
  return { counts: { auditEntries }, hasMore };
}

async function note(
  sql: Sql,
  tenantId: string,
  entry: {
    readonly at: Date;
    readonly action: string;
    readonly details: Readonly<Record<string, unknown>>;
  },
): Promise<void> {
  await insertAuditEntry(sql, tenantId, {
    ...entry,
    id: newId("audit"),
    actorKind: "system",
    actorId: "retention",
    subjectId: tenantId,
    requestId: null,
    address: null,
  });
}
