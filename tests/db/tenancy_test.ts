/** What keeps one tenant from another, in the database itself. */

import assert from "node:assert/strict";
import { insertAgent } from "@/db/agents.ts";
import { insertCall } from "@/db/calls.ts";
import { appendEvents, listEvents } from "@/db/events.ts";
import { insertTenant } from "@/db/tenants.ts";
import type { Sql } from "@/db/client.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, insertedCall, newCall, newStaffedTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const TABLES = ["tenant", "agent", "agent_version", "phone_number", "call", "conversation_event"];
const REFUSED = /row-level security|permission denied/;

function event(tenantId: string, conversationId: string) {
  return { tenantId, conversationId, seq: 1, type: "started", payload: {}, at: new Date(0) };
}

/** How many rows of each table are seen. */
async function counts(sql: Sql): Promise<number[]> {
  const seen: number[] = [];
  for (const table of TABLES) {
    const [row] = await sql<{ count: number }[]>`select count(*)::int as count from ${sql(table)}`;
    seen.push(row?.count ?? -1);
  }
  return seen;
}

Deno.test("a query outside of a tenant's transaction sees no rows", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const call = await insertedCall(database, staffed);
  const { tenantId } = staffed;
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => appendEvents(sql, [event(tenantId, call.id)]),
  );
  const none = TABLES.map(() => 0);
  assert.deepEqual(await database.asTenant("rest", tenantId, DEADLINE_MS, counts), [
    ...[1, 1, 1, 0, 1, 1],
  ]);
  assert.deepEqual(await database.lookup("rest", DEADLINE_MS, counts), none);
  assert.deepEqual(await database.asTenant("rest", newId("tenant"), DEADLINE_MS, counts), none);
});

Deno.test("a transaction sees the rows of all its tenants and of no others", async () => {
  await using database = await open();
  const one = await newStaffedTenant(database);
  const two = await newStaffedTenant(database);
  await newStaffedTenant(database);
  const both = [one.tenantId, two.tenantId];
  const seen = await database.asTenant("rest", both, DEADLINE_MS, async (sql) => {
    return await sql<{ id: string }[]>`select 'tenant_' || id as id from tenant order by tenant.id`;
  });
  assert.deepEqual(seen.map(({ id }) => id), both.sort());
});

Deno.test("a row of another tenant cannot be written", async () => {
  await using database = await open();
  const mine = await newStaffedTenant(database);
  const other = await newStaffedTenant(database);
  const call = await insertedCall(database, other);
  const writes: ((sql: Sql) => Promise<unknown>)[] = [
    (sql) => insertTenant(sql, { id: newId("tenant"), name: "Another" }),
    (sql) => insertAgent(sql, other.tenantId, { id: newId("agent"), name: "Intruder" }),
    (sql) => insertCall(sql, other.tenantId, newCall(other.agentId)),
    (sql) => appendEvents(sql, [event(other.tenantId, call.id)]),
    (sql) => sql`update agent set tenant_id = ${uuidOf("tenant", other.tenantId)}`,
  ];
  for (const write of writes) {
    await assert.rejects(database.asTenant("rest", mine.tenantId, DEADLINE_MS, write), REFUSED);
  }
  const changed = await database.asTenant("rest", mine.tenantId, DEADLINE_MS, async (sql) => {
    const rows = await sql`
      update call set reason = 'changed' where id = ${uuidOf("call", call.id)}`;
    return rows.count;
  });
  assert.equal(changed, 0);
});

Deno.test("a row cannot refer to a row of another tenant", async () => {
  await using database = await open();
  const mine = await newStaffedTenant(database);
  const other = await newStaffedTenant(database);
  const both = [mine.tenantId, other.tenantId];
  await assert.rejects(
    database.asTenant(
      "rest",
      both,
      DEADLINE_MS,
      (sql) => insertCall(sql, mine.tenantId, newCall(other.agentId)),
    ),
    /violates foreign key constraint/,
  );
});

Deno.test("events can be neither changed nor deleted", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const call = await insertedCall(database, staffed);
  const { tenantId } = staffed;
  const changes: ((sql: Sql) => Promise<unknown>)[] = [
    (sql) => sql`update conversation_event set type = 'changed'`,
    (sql) => sql`delete from conversation_event`,
    (sql) => sql`truncate conversation_event`,
  ];
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => appendEvents(sql, [event(tenantId, call.id)]),
  );
  for (const change of changes) {
    await assert.rejects(database.asTenant("rest", tenantId, DEADLINE_MS, change), REFUSED);
  }
  const page = { after: 0, limit: 10 };
  const events = await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => listEvents(sql, tenantId, call.id, page),
  );
  assert.equal(events.length, 1);
});

Deno.test("the application's role owns nothing, bypasses nothing and is not left by reset role", async () => {
  await using database = await open();
  const role = (sql: Sql) =>
    sql`
      select current_user as name, rolsuper as super, rolbypassrls as bypasses,
        exists (select 1 from pg_class where relowner = r.oid) as owns,
        exists (select 1 from pg_proc where proowner = r.oid) as defines
      from pg_roles r where rolname = current_user`;
  const expected = {
    name: "ringmaster_app",
    super: false,
    bypasses: false,
    owns: false,
    defines: false,
  };
  const [before] = await database.lookup("rest", DEADLINE_MS, role);
  assert.deepEqual({ ...before }, expected);
  const [after] = await database.lookup("rest", DEADLINE_MS, async (sql) => {
    await sql`reset role`;
    return await role(sql);
  });
  assert.deepEqual({ ...after }, expected);
});

Deno.test("a transaction leaves neither role nor tenants to the next one", async () => {
  await using database = await open();
  const { tenantId } = await newStaffedTenant(database);
  await database.asOwner(DEADLINE_MS, (sql) => sql`select set_config('app.tenants', '{}', false)`);
  await database.asTenant("rest", tenantId, DEADLINE_MS, counts);
  const [next] = await database.lookup("rest", DEADLINE_MS, (sql) =>
    sql`
    select current_user as role, current_setting('app.tenants') as tenants`);
  assert.deepEqual({ ...next }, { role: "ringmaster_app", tenants: "{}" });
});
