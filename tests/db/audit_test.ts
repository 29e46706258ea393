/** Reading the audit log over its errand: filters, pages, seals, and the indexes under them. */

import assert from "node:assert/strict";
import { auditErrands, type AuditQuery } from "@/actors/desk/audit.ts";
import { type AuditFilter, listAuditEntries } from "@/db/audit.ts";
import type { Database } from "@/db/client.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { auditEntry, sealAll, writeAudit } from "@/tests/support/audit_entries.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { plansOf } from "@/tests/support/explain.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";
import { tenantOffice } from "@/tests/support/tenant_office.ts";

const { open } = await testDatabase();

async function setUp(database: Database) {
  const tenantId = await newTenant(database);
  const office = tenantOffice(database, { tenantId });
  const list = (query: Partial<AuditQuery> = {}) =>
    auditErrands.auditEntries.run(office, { limit: 50, ...query });
  return { tenantId, office, list };
}

Deno.test("entries are read newest first, page by page, each once, also those of one instant", async () => {
  await using database = await open();
  const { tenantId, list } = await setUp(database);
  const entries = Array.from(
    { length: 7 },
    (_, i) => auditEntry({ at: new Date(1_767_600_000_000 + (i >> 1)) }),
  );
  await writeAudit(database, tenantId, entries);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await list({ limit: 2, cursor });
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  const inOrder = entries.toSorted((a, b) =>
    a.at.getTime() - b.at.getTime() || (a.id < b.id ? -1 : 1) // of one instant: by id
  );
  assert.deepEqual(seen, inOrder.map(({ id }) => id).toReversed());
});

Deno.test("entries are found by what was done, by whom, to what and when", async () => {
  await using database = await open();
  const { tenantId, list } = await setUp(database);
  const wanted = auditEntry({
    action: "tenant.impersonated",
    actorKind: "operator",
    actorId: "ada",
    subjectId: "person_9",
    at: new Date("2026-02-01T00:00:00Z"),
    details: { reason: "ticket 12" },
  });
  await writeAudit(database, tenantId, [auditEntry(), wanted, auditEntry()]);
  const filters: AuditFilter[] = [
    { action: "tenant.impersonated" },
    { actorId: "ada" },
    { subjectId: "person_9" },
    { from: "2026-02-01T00:00:00Z" },
    { from: "2026-01-31T00:00:00Z", to: "2026-02-01T00:00:00.001Z", action: wanted.action },
  ];
  for (const filter of filters) {
    const { items } = await list(filter);
    assert.deepEqual(items.map(({ id }) => id), [wanted.id], JSON.stringify(filter));
  }
  assert.deepEqual((await list({ to: "2026-02-01T00:00:00Z" })).items.length, 2);
  assert.deepEqual((await list({ actorId: "ada", action: "x" })).items, []);
});

Deno.test("an entry has neither number nor hash until it is sealed, and then both", async () => {
  await using database = await open();
  const { tenantId, list } = await setUp(database);
  await writeAudit(database, tenantId, [auditEntry()]);
  const [before] = (await list()).items;
  assert.deepEqual([before?.seq, before?.hash], [null, null]);
  await sealAll(database);
  const [after] = (await list()).items;
  assert.equal(after?.seq, 1);
  assert.match(after?.hash ?? "", /^[0-9a-f]{64}$/);
});

Deno.test("a cursor that was not given out is refused by its name", async () => {
  await using database = await open();
  const { list } = await setUp(database);
  const id = newId("audit");
  for (
    const cursor of [
      "x",
      id,
      `2026-01-05T09:00:00.000000Z~audit_1`,
      `2026-99-99T09:00:00.000000Z~${id}`,
    ]
  ) {
    await assert.rejects(list({ cursor }), { code: "invalid", field: "cursor" });
  }
});

Deno.test("reading entries uses an index in each of its ways", async () => {
  await using database = await open();
  const { tenantId } = await setUp(database);
  await database.asOwner(DEADLINE_MS, async (sql) => { // enough that one way is better than another
    await sql`
      insert into audit_entry (tenant_id, id, at, actor_kind, actor_id, action, subject_id, details)
      select ${uuidOf("tenant", tenantId)}, gen_random_uuid(),
        timestamptz '2026-01-01' + i * interval '1 minute', 'user', 'p' || i, 'a' || i, 's' || i, '{}'
      from generate_series(1, 2000) i`;
    await sql`analyze audit_entry`;
  });
  const ways: [string, AuditFilter][] = [
    ["audit_entry_newest", {}],
    ["audit_entry_newest", { from: "2026-01-05T09:00:00Z", to: "2026-01-06T09:00:00Z" }],
    ["audit_entry_of_action", { action: "x" }],
    ["audit_entry_of_actor", { actorId: "x" }],
    ["audit_entry_of_subject", { subjectId: "x" }],
  ];
  for (const [index, filter] of ways) {
    for (const before of [undefined, { at: "2026-01-05T09:00:00Z", id: newId("audit") }]) {
      const page = before === undefined ? { limit: 50 } : { limit: 50, before };
      const [plan] = await database.asTenant(
        "rest",
        tenantId,
        DEADLINE_MS,
        (sql) => plansOf(sql, (explained) => listAuditEntries(explained, tenantId, filter, page)),
      );
      assert.match(plan ?? "", new RegExp(`${index} on audit_entry`), JSON.stringify(filter));
      assert.doesNotMatch(plan ?? "", /Sort/, JSON.stringify(filter));
    }
  }
});
