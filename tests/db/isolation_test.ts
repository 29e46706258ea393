/** Isolation in the database itself: every table × command, with the application's code left out. */

import assert from "node:assert/strict";
import type { Database, Sql } from "@/db/client.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";
import { newWorld, ROWS, uuid, type World } from "@/tests/support/world.ts";

const { open } = await testDatabase();

const DENIED = /row-level security|permission denied/;
/** Tables of people, seen by who is that person. `person` is seen by fellow members too. */
const OF_PEOPLE = [
  ...["person", "person_secret", "person_preference"],
  ...["session", "refresh_token", "password_reset"],
];
/** Tables of the house, which hold nothing of a tenant; and why the application may see them. */
const OF_HOUSE = [
  "signing_key", // public halves, and private ones sealed under the house's own key
  "cron_tick", // when which pattern was run
  "node", // the machines there are
  "actor_owner", // which of them owns what: ids of actors, and nothing of theirs
  "audit_progress", // how far the sealer has come; the application has no right to it
];
const NOT_OURS = ["migration"]; // the application's role has no right to it at all

interface Table {
  readonly name: string;
  readonly isForced: boolean;
  readonly policies: number;
  readonly keyColumns: readonly string[];
  readonly columns: readonly string[];
}

async function tables(database: Database): Promise<Table[]> {
  const found = await database.asOwner(DEADLINE_MS, (sql) =>
    sql<{ json: Table }[]>`
    select jsonb_build_object('name', c.relname,
      'isForced', c.relrowsecurity and c.relforcerowsecurity,
      'policies', (select count(*) from pg_policy p where p.polrelid = c.oid),
      'keyColumns', (select coalesce(jsonb_agg(a.attname order by array_position(i.indkey::int[], a.attnum::int)), '[]')
        from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
        where i.indrelid = c.oid and i.indisprimary),
      'columns', (select jsonb_agg(a.attname) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)) as json
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
    order by c.relname`);
  return found.map(({ json }) => json);
}

/** The tables that have rows of a tenant or of a person. */
const TABLES = Object.keys(ROWS);
const keyOf = (table: string): string =>
  table === "tenant" || table === "person"
    ? "id"
    : OF_PEOPLE.includes(table)
    ? "person_id"
    : "tenant_id";
const ownerOf = (table: string, { ids }: World): string =>
  uuid(OF_PEOPLE.includes(table) ? ids.person : ids.tenant);

/** As the world's tenant and person: all that any request of theirs could be. */
function within<T>(database: Database, { ids }: World, work: (sql: Sql) => Promise<T>): Promise<T> {
  const who = { personId: ids.person, tenantIds: [ids.tenant] };
  return database.asPerson("rest", who, DEADLINE_MS, work);
}

/** Rows that a change reached; 0 as well when it is not allowed at all. */
async function reached(change: Promise<{ readonly count: number }>): Promise<number> {
  try {
    return (await change).count;
  } catch (error) {
    assert.match(String(error), DENIED);
    return 0;
  }
}

Deno.test("cross-tenant matrix: every table has its row, forces row-level security and begins its key with its owner", async () => {
  await using database = await open();
  const all = await tables(database);
  const known = [...TABLES, ...OF_HOUSE, ...NOT_OURS].sort();
  assert.deepEqual(all.map(({ name }) => name).sort(), known);
  for (const { name, isForced, policies, keyColumns, columns } of all) {
    if (NOT_OURS.includes(name)) continue;
    assert.ok(isForced && policies > 0, name);
    if (OF_HOUSE.includes(name)) assert.ok(!columns.includes("tenant_id"), name);
    else assert.equal(keyColumns[0], keyOf(name), name);
  }
});

Deno.test("cross-tenant matrix: every reference between tables of tenants carries the tenant", async () => {
  await using database = await open();
  const references = await database.asOwner(
    DEADLINE_MS,
    (sql) =>
      sql<{ name: string; isComposite: boolean }[]>`
    select con.conname as name, exists (
      select 1 from unnest(con.conkey) k join pg_attribute a
        on a.attrelid = con.conrelid and a.attnum = k
      where a.attname in ('tenant_id', 'person_id')) as is_composite
    from pg_constraint con
    join pg_class target on target.oid = con.confrelid
    where con.contype = 'f' and target.relname not in ('tenant', 'person', 'node')`,
  );
  assert.ok(references.length >= 8);
  for (const { name, isComposite } of references) assert.ok(isComposite, name);
});

for (const table of TABLES) {
  Deno.test(`cross-tenant matrix: rows of ${table} can be neither seen, changed, deleted nor planted by another tenant`, async () => {
    await using database = await open();
    const mine = await newWorld(database);
    const other = await newWorld(database);
    const key = keyOf(table);

    const seen = await within(
      database,
      mine,
      (sql) => sql<{ owner: string }[]>`select ${sql(key)}::text as owner from ${sql(table)}`,
    ).catch(
      (error) => {
        assert.match(String(error), DENIED); // not even its owner reads it
        return [];
      },
    );
    assert.deepEqual([...new Set(seen.map(({ owner }) => owner))], [ownerOf(table, mine)]);
    const unbound = await database.lookup(
      "rest",
      DEADLINE_MS,
      (sql) => sql`select 1 from ${sql(table)} limit 1`,
    );
    assert.equal(unbound.length, 0);

    const [column = key] = await updatable(database, table);
    const theirs = ownerOf(table, other);
    const update = within(
      database,
      mine,
      (sql) =>
        sql`update ${sql(table)} set ${sql(column)} = ${sql(column)} where ${sql(key)} = ${theirs}`,
    );
    assert.equal(await reached(update), 0, "update");
    const remove = within(
      database,
      mine,
      (sql) => sql`delete from ${sql(table)} where ${sql(key)} = ${theirs}`,
    );
    assert.equal(await reached(remove), 0, "delete");
    // Policies are looked at before keys: that the row is there already is not what refuses it.
    const plant = within(database, mine, async (sql) => {
      return await sql`insert into ${sql(table)} ${sql(ROWS[table]?.(other, sql) ?? {})}`;
    });
    assert.equal(await reached(plant), 0, "insert");
    const truncate = within(database, mine, (sql) => sql`truncate ${sql(table)} cascade`);
    assert.equal(await reached(truncate), 0, "truncate");

    const [left] = await database.asOwner(DEADLINE_MS, (sql) =>
      sql<{ count: number }[]>`
      select count(*)::int as count from ${sql(table)} where ${sql(key)} = ${theirs}`);
    assert.equal(left?.count, 1);
  });
}

/** Columns of a table that the application's role may change. */
async function updatable(database: Database, table: string): Promise<string[]> {
  const rows = await database.asOwner(DEADLINE_MS, (sql) =>
    sql<{ name: string }[]>`
    select a.attname as name from pg_attribute a
    where a.attrelid = ${table}::regclass and a.attnum > 0 and not a.attisdropped
      and has_column_privilege('ringmaster_app', a.attrelid, a.attnum, 'update')`);
  return rows.map(({ name }) => name);
}

Deno.test("cross-tenant matrix: what looks across tenants returns ids only, and is nobody's but the application's", async () => {
  await using database = await open();
  const functions = await database.asOwner(
    DEADLINE_MS,
    (sql) =>
      sql<
        { name: string; result: string; owner: string; isPublic: boolean; path: string | null }[]
      >`
    select p.proname as name, pg_get_function_result(p.oid) as result, r.rolname as owner,
      has_function_privilege('public', p.oid, 'execute') as is_public,
      array_to_string(p.proconfig, ',') as path
    from pg_proc p join pg_roles r on r.oid = p.proowner
    where p.pronamespace = 'public'::regnamespace and p.prosecdef`,
  );
  assert.ok(functions.length >= 7);
  for (const { name, isPublic, owner, path } of functions) {
    assert.equal(isPublic, false, name);
    assert.match(owner, /^ringmaster_(lookup|eraser|sealer)$/, name);
    assert.match(path ?? "", /search_path=""/, name);
  }
  const columns = new Set(
    functions.flatMap(({ result }) =>
      result.match(/\w+(?= (uuid|text|bytea|bigint|integer|boolean|timestamp))/g) ?? []
    ),
  );
  for (const column of columns) {
    assert.match(column, /^(\w*id|config_version|status|is_\w+)$/, column);
  }
});
