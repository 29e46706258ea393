/** Retention: daily, what a tenant keeps for some days only goes when its days are over. */

import { z } from "zod";
import type { TenantSettings } from "@/actors/desk/tenant.ts";
import { CUT_ACTION } from "@/db/audit.ts";
import { getCut } from "@/db/audit_chain.ts";
import { addCounts, erase, eraseSound } from "@/db/erasers.ts";
import { cutAudit, listCallsEndedBefore } from "@/db/erasure.ts";
import { listRecordingsEndedBefore } from "@/db/recordings.ts";
import { getTenant } from "@/db/tenants.ts";
import { settleLeft } from "@/db/settle_recordings.ts";
import { type JobContext, jobKind } from "./kind.ts";

/** Of one transaction. */
const CALLS_MAX = 100;
const ENTRIES_MAX = 1_000;
const RECORDINGS_MAX = 20; // each is up to thousands of segments
/** Transactions of one run and kind; what is left is the next day's. */
const BATCHES_MAX = 1_000;
const DAY_MS = 86_400_000;

/** What a run needs of its job. */
export type RetentionDeps = Pick<
  JobContext,
  "tenantId" | "vault" | "stores" | "clock" | "signal" | "read" | "act"
>;

export const retention = jobKind({
  payload: z.strictObject({}),
  attempts: 5,
  leaseMs: 60_000,
  room: 2,
  cron: { pattern: "20 3 * * *" },
  async run(context) {
    await retain(context);
  },
});

/**
 * Deletes what is older than the tenant's settings allow, in transactions of their own: a run that is
 * broken off is gone on with by the next. Without a setting, all is kept for ever. Returns how many
 * rows are gone, by what they were.
 */
export async function retain(deps: RetentionDeps): Promise<Record<string, number>> {
  const { tenantId, clock, read } = deps;
  const tenant = await read((sql) => getTenant(sql, tenantId));
  const settings: TenantSettings = tenant?.settings ?? {};
  const now = clock.date().getTime();
  const before = (days: number): Date => new Date(now - days * DAY_MS);
  const { callRetentionDays, recordingRetentionDays, auditRetentionDays } = settings;
  const counts = {
    ...(recordingRetentionDays ? await retainRecordings(deps, before(recordingRetentionDays)) : {}),
    ...(callRetentionDays ? await retainCalls(deps, before(callRetentionDays)) : {}),
    ...(auditRetentionDays ? await retainAudit(deps, before(auditRetentionDays)) : {}),
  };
  await settleLeft(deps, clock.date(), deps.signal); // last: their store may not be there any more
  return counts;
}

async function retainCalls(deps: RetentionDeps, before: Date): Promise<Record<string, number>> {
  const { tenantId, signal, read, act } = deps;
  const counts: Record<string, number> = {};
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    signal.throwIfAborted();
    const callIds = await read((sql) => listCallsEndedBefore(sql, tenantId, before, CALLS_MAX));
    if (callIds.length > 0) addCounts(counts, await erase(deps, { callIds, number: null }));
    if (callIds.length < CALLS_MAX) break;
  }
  if (counts["calls"]) {
    const details = { before: before.toISOString(), counts };
    await act(({ audit }) => audit({ action: "calls.expired", subjectId: tenantId, details }));
  }
  return counts;
}

/** Their calls stay. */
async function retainRecordings(
  deps: RetentionDeps,
  before: Date,
): Promise<Record<string, number>> {
  const { tenantId, signal, read, act } = deps;
  const counts: Record<string, number> = {};
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    signal.throwIfAborted();
    const old = await read((sql) =>
      listRecordingsEndedBefore(sql, tenantId, before, RECORDINGS_MAX)
    );
    addCounts(counts, await eraseSound(deps, old));
    if (old.length < RECORDINGS_MAX) break;
  }
  if (counts["recordings"]) {
    const details = { before: before.toISOString(), counts };
    await act(({ audit }) => audit({ action: "recordings.expired", subjectId: tenantId, details }));
  }
  return counts;
}

/** The chain stays verifiable: the entry that says where it was cut is in it. */
async function retainAudit(deps: RetentionDeps, before: Date): Promise<Record<string, number>> {
  const { tenantId, signal, act } = deps;
  let auditEntries = 0;
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    signal.throwIfAborted();
    const count = await act(async ({ sql, audit }) => {
      const count = await cutAudit(sql, tenantId, before, ENTRIES_MAX);
      const cut = count === 0 ? null : await getCut(sql, tenantId);
      if (cut !== null) {
        const details = { seq: cut.seq, hash: cut.hash.toHex(), count };
        await audit({ action: CUT_ACTION, subjectId: tenantId, details });
      }
      return count;
    });
    auditEntries += count;
    if (count < ENTRIES_MAX) break;
  }
  return { auditEntries };
}
