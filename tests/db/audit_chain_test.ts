/** The chain of audit entries: each sealed once, in order, by however many machines. */

import assert from "node:assert/strict";
import { sealPass } from "@/actors/sealer/pass.ts";
import { sealer, sealerKind } from "@/actors/sealer/sealer.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { insertAuditEntry } from "@/db/audit.ts";
import {
  ENTRIES_MAX,
  listLinks,
  type SealedBatch,
  type SealedText,
  sealEntries,
  sealOf,
} from "@/db/audit_chain.ts";
import type { Database, Sql } from "@/db/client.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { uuidOf } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { auditEntry, sealAll, writeAudit } from "@/tests/support/audit_entries.ts";
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
    (sql) => listLinks(sql, tenantId, { after: 0, limit: 2_000 }),
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

Deno.test("what another machine seals is left to it, and nobody waits", async () => {
  await using database = await open();
  if (database.isEmbedded) return; // one transaction at a time
  const tenantId = await newTenant(database);
  await write(database, tenantId, 1);
  const seal = (work: (sql: Sql) => Promise<SealedBatch>) =>
    database.lookup("jobs", DEADLINE_MS, work);
  const inner = await seal(async (sql) => {
    await sealEntries(sql, clock.date());
    return await seal((sql) => sealEntries(sql, clock.date()));
  });
  assert.deepEqual([inner.entries, inner.isLeft], [0, true]);
  assert.equal(await unbroken(database, tenantId), 1);
});

Deno.test("a long backlog is sealed in bounded transactions, in order, and one that commits late is not lost", async () => {
  await using database = await open();
  await sealAll(database);
  const tenantId = await newTenant(database);
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const late = database.isEmbedded // one transaction at a time
    ? Promise.resolve()
    : database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
      await insertAuditEntry(sql, tenantId, auditEntry());
      begun.resolve();
      await goOn.promise;
    });
  if (!database.isEmbedded) await begun.promise;
  const sizes = Array.from({ length: 20 }, (_, i) => 50 + i);
  for (const size of sizes) {
    await writeAudit(database, tenantId, Array.from({ length: size }, () => auditEntry()));
  }
  const count = sizes.reduce((sum, size) => sum + size);
  const first = await sealPass({ database, clock, log: silentLog });
  const whole = sizes.slice(0, 18).reduce((sum, size) => sum + size); // of 17 it would be too few
  assert.ok(whole >= ENTRIES_MAX && whole - 67 < ENTRIES_MAX);
  assert.deepEqual([first.entries, first.hasMore], [whole, true]);
  assert.equal(first.heads.get(tenantId)?.seq, whole);
  assert.equal((await sealPass({ database, clock, log: silentLog })).entries, count - whole);
  goOn.resolve();
  await late;
  await sealAll(database);
  assert.equal(await unbroken(database, tenantId), count + (database.isEmbedded ? 0 : 1));
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
    xid: "0",
  };
  // Computed apart from this code, with Python's hashlib.
  assert.equal(
    sealOf(new Uint8Array(32), text).toHex(),
    "02940ce988d195d2187fefbcf3adca2b6f0bb01c2715724b91360c041d3a6ffd",
  );
  assert.equal(
    sealOf(new Uint8Array(32), { ...text, xid: "731" }).toHex(),
    "b385f0d4dc2bca3650593b8cb6b8c71e0f4ee9345ee3a073f128c3739b9cfb0f",
  );
});

Deno.test("a chain that cannot be sealed keeps no other from it", async () => {
  await using database = await open();
  const [bad, good] = [await newTenant(database), await newTenant(database)];
  await write(database, bad, 1);
  await sealAll(database);
  await write(database, bad, 1);
  await write(database, good, 1);
  await database.asOwner(DEADLINE_MS, async (sql) => {
    await sql`
      update audit_seal set seq = 9223372036854775807 where tenant_id = ${uuidOf("tenant", bad)}`;
  });
  const errors: unknown[] = [];
  const log = { ...silentLog, error: (...line: unknown[]) => void errors.push(line) };
  assert.equal((await sealPass({ database, clock, log })).entries, 1);
  assert.deepEqual(errors, [["audit chain cannot be sealed", { tenantId: bad }]]);
  assert.equal(await unbroken(database, good), 1);
});

Deno.test("a sealer that has lost its place begins anew, and seals none twice", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  await write(database, tenantId, 3);
  await sealAll(database);
  await write(database, tenantId, 2);
  await database.asOwner(DEADLINE_MS, (sql) => sql`delete from audit_progress`);
  await sealAll(database);
  assert.equal(await unbroken(database, tenantId), 5);
});

Deno.test("what waited in a dump is sealed where it is restored, though transactions have lower numbers there", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  await write(database, tenantId, 3);
  await sealAll(database);
  await write(database, tenantId, 2);
  // As if they had been written long after now: two of them after the last pass.
  await database.asOwner(DEADLINE_MS, async (sql) => {
    await sql`
      update audit_entry set xid = (xid::text::bigint + 1000000000000)::text::xid8
      where tenant_id = ${uuidOf("tenant", tenantId)}
        and id not in (select entry_id from audit_seal)`;
    await sql`
      update audit_progress set seen = format('%1$s:%1$s:',
        (select min(xid::text::bigint) from audit_entry where xid::text::bigint > 1000000000000))::pg_snapshot`;
  });
  await sealAll(database);
  assert.equal(await unbroken(database, tenantId), 5);
  await write(database, tenantId, 1);
  await sealAll(database);
  assert.equal(await unbroken(database, tenantId), 6);
  const [again] = await database.asOwner(
    DEADLINE_MS,
    (sql) => sql`select 1 as one from audit_progress where seen::text like '1:1:%'`,
  );
  assert.equal(again, undefined, "it has caught up with what is written here");
});

Deno.test("what any text holds is sealed as it is verified", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  // All that JSON escapes or might, and what it does not; U+0000 no text of the database can hold.
  const text = String.fromCharCode(...Array.from({ length: 0x2ff }, (_, i) => i + 1)) +
    '\\"/\u2028\u2029\ufeff\uffff😀';
  const entry = auditEntry({
    actorId: text,
    action: text,
    subjectId: text,
    requestId: text,
    address: null,
    details: { [text]: text },
  });
  await writeAudit(database, tenantId, [entry, auditEntry({ address: text })]);
  await sealAll(database);
  assert.equal(await unbroken(database, tenantId), 2);
});
