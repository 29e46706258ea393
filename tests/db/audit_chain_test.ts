/** The chain of audit entries: each sealed once, in order, by however many machines. */

import assert from "node:assert/strict";
import { sealPass } from "@/actors/sealer/pass.ts";
import { sealer, sealerKind } from "@/actors/sealer/sealer.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { insertAuditEntry } from "@/db/audit.ts";
import { ENTRIES_MAX, listLinks, type SealedText, sealEntries, sealOf } from "@/db/audit_chain.ts";
import type { Database } from "@/db/client.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { uuidOf } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { auditEntry } from "@/tests/support/audit_entries.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();
const clock = systemClock;

async function write(database: Database, tenantId: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) => insertAuditEntry(sql, tenantId, auditEntry()),
    );
  }
}

function links(database: Database, tenantId: string) {
  return database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => listLinks(sql, tenantId, { after: 0, limit: 1_000 }),
  );
}

/** How many links, each of which fits on the one before it. */
async function unbroken(database: Database, tenantId: string): Promise<number> {
  let hash: Uint8Array = new Uint8Array(32);
  const found = await links(database, tenantId);
  for (const [i, link] of found.entries()) {
    assert.equal(Number(link.seq), i + 1);
    assert.equal(link.id, link.entryId);
    hash = sealOf(hash, link as SealedText); // its entry is there: the line above
    assert.deepEqual(new Uint8Array(link.hash), hash);
  }
  return found.length;
}

Deno.test("entries of 50 tenants, written by two machines at once, are each sealed once within 1 s", async () => {
  const database = await open();
  const machines = [database];
  if (!database.isEmbedded) machines.push(await open()); // the embedded one has a single session
  const systems = machines.map((machine) => {
    const system = newSystem({ clock, log: silentLog });
    const deps = {
      pass: () => sealPass({ database: machine, clock, log: silentLog }),
      log: silentLog,
    };
    system.spawn(sealerKind, "sealer", () => sealer(deps));
    return system;
  });
  const tenants = await Promise.all(Array.from({ length: 50 }, () => newTenant(database)));
  await Promise.all(
    tenants.flatMap((tenantId) => machines.map((machine) => write(machine, tenantId, 6))),
  );
  await sleep(clock, 1_000); // nobody wakes the sealers
  const lengths = await Promise.all(tenants.map((tenantId) => unbroken(database, tenantId)));
  for (const system of systems) await system.shutdown();
  for (const machine of machines) await machine.close();
  assert.deepEqual(new Set(lengths), new Set([6 * machines.length]));
});

Deno.test("an entry whose transaction commits late is sealed after younger ones, and not skipped", async () => {
  await using database = await open();
  if (database.isEmbedded) return; // one transaction at a time
  const tenantId = await newTenant(database);
  const late = auditEntry();
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const committed = database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertAuditEntry(sql, tenantId, late);
    begun.resolve();
    await goOn.promise;
  });
  await begun.promise;
  await write(database, tenantId, 2);
  await sealPass({ database, clock, log: silentLog });
  assert.equal(await unbroken(database, tenantId), 2);
  goOn.resolve();
  await committed;
  await sealPass({ database, clock, log: silentLog });
  assert.equal(await unbroken(database, tenantId), 3);
  assert.equal(`audit_${(await links(database, tenantId))[2]?.id}`, late.id);
});

Deno.test("a chain that another machine seals is left to it, and nobody waits", async () => {
  await using database = await open();
  if (database.isEmbedded) return; // one transaction at a time
  const tenantId = await newTenant(database);
  await write(database, tenantId, 1);
  const seal = () =>
    database.asTenant(
      "jobs",
      tenantId,
      DEADLINE_MS,
      (sql) => sealEntries(sql, [tenantId], clock.date()),
    );
  const inner = await database.asTenant("jobs", tenantId, DEADLINE_MS, async (sql) => {
    await sealEntries(sql, [tenantId], clock.date());
    return await seal();
  });
  assert.deepEqual(inner, { entries: 0, heads: new Map(), hasMore: false });
  assert.equal(await unbroken(database, tenantId), 1);
});

Deno.test("a long backlog of one tenant is sealed in bounded transactions, in order", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    for (let i = 0; i < ENTRIES_MAX * 1.8; i++) await insertAuditEntry(sql, tenantId, auditEntry());
  });
  const first = await sealPass({ database, clock, log: silentLog });
  assert.deepEqual([first.entries, first.hasMore], [ENTRIES_MAX, true]);
  assert.equal(first.heads.get(tenantId)?.seq, ENTRIES_MAX);
  while ((await sealPass({ database, clock, log: silentLog })).hasMore);
  assert.equal(await unbroken(database, tenantId), ENTRIES_MAX * 1.8);
});

Deno.test("the hash is of these very bytes", () => {
  const text: SealedText = {
    tenantId: "0198f3c2-1b2c-7def-8123-000000000001",
    id: "0198f3c2-1b2c-7def-8123-000000000002",
    at: "2026-01-05T09:00:00.123456Z",
    actorKind: "key",
    actorId: "key_1",
    action: "agent.published",
    subjectId: "agent_1",
    details: '{"a": 1.00}',
    requestId: null,
    address: null,
    seq: "1",
    sealedAt: "2026-01-05T09:00:01.000000Z",
  };
  // Computed apart from this code, with Python's hashlib.
  assert.equal(
    sealOf(new Uint8Array(32), text).toHex(),
    "02940ce988d195d2187fefbcf3adca2b6f0bb01c2715724b91360c041d3a6ffd",
  );
});

Deno.test("a chain that cannot be sealed keeps no other from it", async () => {
  await using database = await open();
  const [bad, good] = [await newTenant(database), await newTenant(database)];
  await write(database, bad, 1);
  await sealPass({ database, clock, log: silentLog });
  await write(database, bad, 1);
  await write(database, good, 1);
  await database.asOwner(DEADLINE_MS, async (sql) => {
    await sql`
      insert into audit_unsealed (tenant_id, entry_id)
      select tenant_id, entry_id from audit_seal where tenant_id = ${uuidOf("tenant", bad)}`;
  });
  assert.equal((await sealPass({ database, clock, log: silentLog })).entries, 1);
  assert.equal(await unbroken(database, good), 1);
});
