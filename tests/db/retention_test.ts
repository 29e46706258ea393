/** Retention: what a tenant keeps for some days is gone when they are over, and the chain still holds. */

import assert from "node:assert/strict";
import { retain, type RetentionDeps } from "@/actors/jobs/retention.ts";
import { verifyAudit } from "@/actors/sealer/verify.ts";
import { listAuditEntries } from "@/db/audit.ts";
import type { Database } from "@/db/client.ts";
import { cutAudit } from "@/db/erasure.ts";
import { updateTenant } from "@/db/tenants.ts";
import { uuidOf } from "@/lib/ids.ts";
import { auditEntry, sealAll, writeAudit } from "@/tests/support/audit_entries.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { tenantOffice } from "@/tests/support/tenant_office.ts";
import { DEADLINE_MS, newStaffedTenant, type Staffed } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

/** Virtual: in the past of every clock, since a database cuts by its own as well. */
const TODAY = new Date("2026-03-31T12:00:00Z");
const daysAgo = (days: number): Date => new Date(TODAY.getTime() - days * 86_400_000);

async function setUp(database: Database, settings: Record<string, unknown>) {
  const staffed = await newStaffedTenant(database);
  const { tenantId } = staffed;
  const bound = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("rest", tenantId, DEADLINE_MS, work);
  await bound((sql) => updateTenant(sql, tenantId, { name: "Clinic", settings }, null));
  const { signal } = new AbortController();
  /** As the job would run that day, and as the house. */
  function retainOn(date = TODAY): Promise<Record<string, number>> {
    const { read, act, vault, stores, clock } = tenantOffice(database, {
      tenantId,
      clock: manualClock({ date }),
      by: { kind: "operator", id: "retention" },
    });
    const deps: RetentionDeps = { tenantId, vault, stores, clock, signal, read, act };
    return retain(deps);
  }
  return {
    staffed,
    tenantId,
    bound,
    retain: retainOn,
    verify: () => verifyAudit(database, { tenantId, anchors: {}, date: TODAY }),
  };
}

/** Calls that ended so many days ago, each with an event. */
async function insertCalls(
  database: Database,
  { tenantId, agentId }: Staffed,
  count: number,
  days: number,
): Promise<void> {
  await database.asOwner(DEADLINE_MS, (sql) =>
    sql`
    with c as (
      insert into call (tenant_id, id, agent_id, agent_version, direction, from_number, to_number,
        carrier, status, started_at, ended_at)
      select ${uuidOf("tenant", tenantId)}, gen_random_uuid(), ${uuidOf("agent", agentId)}, 1,
        'inbound', '+4915100000001', '+15550100100', 'twilio', 'ended', ${daysAgo(days)},
        ${daysAgo(days)}
      from generate_series(1, ${count}::int)
      returning tenant_id, id
    )
    insert into conversation_event (tenant_id, conversation_id, seq, type, payload, at)
    select tenant_id, id, 1, 'started', '{}', ${daysAgo(days)} from c`);
}

async function count(database: Database, table: string, tenantId: string): Promise<number> {
  const [row] = await database.asOwner(DEADLINE_MS, (sql) =>
    sql<{ count: number }[]>`
    select count(*)::int as count from ${sql(table)}
    where tenant_id = ${uuidOf("tenant", tenantId)}`);
  return row?.count ?? -1;
}

Deno.test("calls go with their events when their days are over, in batches, and an entry says so", async () => {
  await using database = await open();
  const { staffed, tenantId, bound, retain } = await setUp(database, { callRetentionDays: 30 });
  await insertCalls(database, staffed, 250, 31);
  await insertCalls(database, staffed, 5, 29);
  const counts = await retain();
  assert.deepEqual([counts["calls"], counts["events"]], [250, 250]);
  assert.equal(await count(database, "call", tenantId), 5);
  assert.equal(await count(database, "conversation_event", tenantId), 5);
  const [entry] = await bound((sql) => listAuditEntries(sql, tenantId, {}, { limit: 10 }));
  assert.equal(entry?.action, "calls.expired");
  assert.equal((await retain())["calls"], undefined, "the next run has nothing to do");
  await retain(daysAgo(-2));
  assert.equal(await count(database, "call", tenantId), 0, "two days later");
});

Deno.test("without a setting all is kept for ever", async () => {
  await using database = await open();
  const { staffed, tenantId, retain } = await setUp(database, { callRetentionDays: null });
  await insertCalls(database, staffed, 3, 4_000);
  await writeAudit(database, tenantId, [auditEntry({ at: daysAgo(4_000) })]);
  await sealAll(database);
  assert.deepEqual(await retain(), {});
  assert.equal(await count(database, "call", tenantId), 3);
  assert.equal(await count(database, "audit_entry", tenantId), 1);
});

Deno.test("audit entries go from the oldest, and the chain that is left is verified, cut after cut", async () => {
  await using database = await open();
  const { tenantId, retain, verify } = await setUp(database, { auditRetentionDays: 10 });
  for (const days of [30, 20, 12, 5]) {
    await writeAudit(database, tenantId, [1, 2, 3].map(() => auditEntry({ at: daysAgo(days) })));
    await sealAll(database);
  }
  const before = await verify();
  const steps: [number, number][] = [[-15, 3], [-5, 3], [0, 3]];
  for (const [i, [days, removed]] of steps.entries()) {
    assert.equal((await retain(daysAgo(-days)))["auditEntries"], removed);
    await sealAll(database);
    const { faults, entries } = await verify();
    assert.deepEqual(faults, []);
    assert.equal(entries, 12 - 3 * (i + 1) + i + 1, "each cut adds an entry of its own");
  }
  const anchored = await verifyAudit(database, { tenantId, anchors: before.heads, date: TODAY });
  assert.deepEqual(anchored.faults, [], "an earlier head is in the chain still");
});

Deno.test("a chain that is cut to its last entry goes on from there", async () => {
  await using database = await open();
  const { tenantId, retain, verify } = await setUp(database, { auditRetentionDays: 1 });
  await writeAudit(database, tenantId, [1, 2].map(() => auditEntry({ at: daysAgo(9) })));
  await sealAll(database);
  assert.equal((await retain())["auditEntries"], 2);
  assert.equal(await count(database, "audit_seal", tenantId), 0);
  await sealAll(database);
  const { faults, heads } = await verify();
  assert.deepEqual(faults, []);
  assert.equal(heads[tenantId]?.seq, 3);
});

Deno.test("an entry that has no seal is not removed, nor one behind a younger one", async () => {
  await using database = await open();
  const { tenantId, retain } = await setUp(database, { auditRetentionDays: 10 });
  await writeAudit(database, tenantId, [auditEntry({ at: daysAgo(1) })]);
  await sealAll(database);
  await writeAudit(database, tenantId, [auditEntry({ at: daysAgo(99) })]);
  assert.equal((await retain())["auditEntries"], 0);
  await sealAll(database);
  assert.equal((await retain())["auditEntries"], 0);
});

Deno.test("nobody can cut what the tenant's own setting keeps, nor another tenant's chain", async () => {
  await using database = await open();
  const mine = await setUp(database, { auditRetentionDays: 3_650 });
  const theirs = await setUp(database, { auditRetentionDays: 1 });
  for (const { tenantId } of [mine, theirs]) {
    await writeAudit(database, tenantId, [auditEntry({ at: daysAgo(9) })]);
  }
  await sealAll(database);
  const far = new Date("2999-01-01T00:00:00Z");
  for (const { tenantId } of [mine, theirs]) {
    assert.equal(await mine.bound((sql) => cutAudit(sql, tenantId, far, 100)), 0);
  }
  for (const table of ["audit_entry", "audit_seal", "audit_cut"]) {
    await assert.rejects(mine.bound((sql) => sql`delete from ${sql(table)}`), /permission denied/);
    await assert.rejects(
      mine.bound((sql) => sql`update ${sql(table)} set tenant_id = tenant_id`),
      /permission denied/,
    );
  }
});
