/** Migrations: each runs once, whole or not at all, and is never changed. */

import assert from "node:assert/strict";
import type { Database } from "@/db/client.ts";
import { migrate, type Migration, readMigrations } from "@/db/migrate.ts";
import { silentLog } from "@/lib/log.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const run = (database: Database, migrations: readonly Migration[]): Promise<string[]> =>
  migrate(database, { log: silentLog, migrations });

async function hasTable(database: Database, name: string): Promise<boolean> {
  const [row] = await database.asOwner(DEADLINE_MS, (sql) =>
    sql`
    select to_regclass(${name}) is not null as found`);
  return row?.["found"] === true;
}

Deno.test("a migrated database has nothing left to run", async () => {
  await using database = await open();
  assert.deepEqual(await migrate(database, { log: silentLog }), []);
});

Deno.test("the files are numbered without a gap, in the order in which they run", async () => {
  const names = (await readMigrations()).map(({ name }) => name);
  assert.deepEqual(
    names.map((name) => Number(/^(\d{4})_[a-z0-9_]+$/.exec(name)?.[1])),
    names.map((_, i) => i + 1),
  );
});

Deno.test("new migrations run in order, and each runs once", async () => {
  await using database = await open();
  const first = {
    name: "9001_a",
    sql: "create table order_a (n int); insert into order_a values (1)",
  };
  const second = { name: "9002_b", sql: "insert into order_a values (2)" };
  assert.deepEqual(await run(database, [first]), ["9001_a"]);
  assert.deepEqual(await run(database, [first, second]), ["9002_b"]);
  assert.deepEqual(await run(database, [first, second]), []);
  const rows = await database.asOwner(DEADLINE_MS, (sql) => sql`select n from order_a order by n`);
  assert.deepEqual(rows.map((row) => row["n"]), [1, 2]);
});

Deno.test("a migration that was changed after it ran is refused by name", async () => {
  await using database = await open();
  await run(database, [{ name: "9011_a", sql: "create table changed_a ()" }]);
  await assert.rejects(run(database, [{ name: "9011_a", sql: "create table changed_b ()" }]), {
    code: "conflict",
    message: 'Migration "9011_a" was changed after it ran: restore the file and add a new one',
  });
  assert.equal(await hasTable(database, "changed_b"), false);
});

Deno.test("a migration that fails leaves nothing of itself, and runs when it is mended", async () => {
  await using database = await open();
  const broken = { name: "9021_a", sql: "create table half (); select no_such_function()" };
  await assert.rejects(run(database, [broken]), /no_such_function/);
  assert.equal(await hasTable(database, "half"), false);
  const mended = { name: "9021_a", sql: "create table half ()" };
  assert.deepEqual(await run(database, [mended]), ["9021_a"]);
});

Deno.test("of two processes that start at once one runs the migrations, and both go on", async () => {
  await using one = await open();
  await using two = one.isEmbedded ? null : await open(); // the embedded one has a single process
  const migrations = Array.from({ length: 5 }, (_, i) => ({
    name: `903${i}_a`,
    sql: `create table race_${i} (); select pg_sleep(0.02)`,
  }));
  const ran = await Promise.all([run(one, migrations), run(two ?? one, migrations)]);
  assert.deepEqual(ran.flat().sort(), migrations.map(({ name }) => name));
});

Deno.test("a version before can still start on a database that a later one has migrated", async () => {
  await using database = await open();
  await run(database, [{ name: "9099_later", sql: "create table later ()" }]);
  assert.deepEqual(await migrate(database, { log: silentLog }), []);
});
