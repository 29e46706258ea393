/** From a queue of entries to sealing by transactions: what was sealed stays valid, what waited is sealed. */

import assert from "node:assert/strict";
import { verifyAudit } from "@/actors/sealer/verify.ts";
import { type SealedText, sealOf } from "@/db/audit_chain.ts";
import { connect, type Database, type Sql } from "@/db/client.ts";
import { migrate, readMigrations } from "@/db/migrate.ts";
import { systemClock } from "@/lib/clock.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { sealAll } from "@/tests/support/audit_entries.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";

const AT = "2026-01-05T09:00:00.123456Z";
const SEALED_AT = "2026-01-05T09:00:01.000000Z";

/** As the version before does it. */
async function insertEntry(sql: Sql, tenant: string): Promise<string> {
  const id = uuidOf("audit", newId("audit")) ?? "";
  await sql`
    insert into audit_entry (tenant_id, id, at, actor_kind, actor_id, action, subject_id, details)
    values (${tenant}, ${id}, ${AT}::text::timestamptz, 'user', 'person_1', 'x', 'y', '{"a": 1}')`;
  return id;
}

async function seal(sql: Sql, tenant: string, ids: readonly string[]): Promise<void> {
  let hash = new Uint8Array(32);
  for (const [i, id] of ids.entries()) {
    const text: SealedText = {
      ...{ tenantId: tenant, id, at: AT, actorKind: "user", actorId: "person_1", action: "x" },
      ...{ subjectId: "y", details: '{"a": 1}', requestId: null, address: null },
      ...{ seq: `${i + 1}`, sealedAt: SEALED_AT, xid: "0" },
    };
    hash = sealOf(hash, text);
    await sql`
      insert into audit_seal (tenant_id, seq, entry_id, hash, sealed_at)
      values (${tenant}, ${i + 1}, ${id}, ${hash}, ${SEALED_AT}::text::timestamptz)`;
    await sql`delete from audit_unsealed where entry_id = ${id}`;
  }
}

const asOwner = (database: Database, work: (sql: Sql) => Promise<unknown>) =>
  database.asOwner(DEADLINE_MS, work);

Deno.test("a log of the version before is migrated with its chain, and goes on from there", async () => {
  await using database = await connect({
    at: { embedded: { dir: null } },
    clock: systemClock,
    log: silentLog,
  });
  const migrations = await readMigrations();
  const first = migrations.findIndex(({ name }) => name.endsWith("_sealing"));
  await migrate(database, { log: silentLog, migrations: migrations.slice(0, first) });

  const tenantId = newId("tenant");
  const tenant = uuidOf("tenant", tenantId) ?? "";
  await asOwner(database, async (sql) => {
    await sql`insert into tenant (id, name, status) values (${tenant}, 'Clinic', 'active')`;
    const late = await insertEntry(sql, tenant);
    await seal(sql, tenant, [await insertEntry(sql, tenant), await insertEntry(sql, tenant)]);
    const waiting = await sql<{ entryId: string }[]>`select entry_id from audit_unsealed`;
    assert.deepEqual(waiting.map(({ entryId }) => entryId), [late]);
  });
  await migrate(database, { log: silentLog, migrations });
  await asOwner(database, async (sql) => {
    await insertEntry(sql, tenant); // by a machine of the version before
    assert.equal((await sql`select * from tenants_to_seal(null, 32)`).length, 0);
  });
  await sealAll(database);
  const verified = await verifyAudit(database, { tenantId, anchors: {}, date: systemClock.date() });
  assert.deepEqual([verified.faults, verified.entries], [[], 4]);
});
