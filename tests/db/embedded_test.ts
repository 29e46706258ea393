/** The embedded database: what it keeps, what holds its folder, and what a long query costs. */

import assert from "node:assert/strict";
import { connect, type Database } from "@/db/client.ts";
import { takeDataDir } from "@/db/data_dir.ts";
import { startEmbedded } from "@/db/embedded.ts";
import { migrate } from "@/db/migrate.ts";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { embeddedTestDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await embeddedTestDatabase();

const LOCKED = { code: "data_dir_locked", message: /another process is using it/ };

const openAt = (dir: string): Promise<Database> =>
  connect({ at: { embedded: { dir } }, clock: systemClock, log: silentLog });

/** A folder that is removed after the test. */
async function temporaryDir() {
  const path = await Deno.makeTempDir({ prefix: "ringmaster_" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

Deno.test("what was committed is there when the folder is opened again", async () => {
  await using dir = await temporaryDir();
  const data = `${dir.path}/.ringmaster`;
  await Deno.mkdir(`${data}/postgres.unfinished`, { recursive: true }); // of a start that was cut off
  let tenantId = "";
  {
    await using database = await openAt(data);
    await migrate(database, { log: silentLog });
    tenantId = await newTenant(database);
    await assert.rejects(openAt(data), LOCKED);
  }
  await using database = await openAt(data);
  assert.deepEqual(await migrate(database, { log: silentLog }), []);
  const [tenant] = await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => sql<{ name: string }[]>`select name from tenant`,
  );
  assert.equal(tenant?.name, "Clinic");
});

Deno.test("the extension for vectors is at hand", async () => {
  await using database = await open();
  const [row] = await database.asOwner(DEADLINE_MS, async (sql) => {
    await sql`create extension vector`;
    return await sql`select '[1,2]'::vector <-> '[4,6]'::vector as distance`;
  });
  assert.equal(row?.["distance"], 5);
});

Deno.test("a second process finds the folder taken, until the first one ends, however it ends", async () => {
  await using dir = await temporaryDir();
  const module = new URL("../../db/data_dir.ts", import.meta.url).href;
  const script = `
    const { takeDataDir } = await import(${JSON.stringify(module)});
    await takeDataDir(${JSON.stringify(dir.path)});
    console.log("taken");
    setInterval(() => {}, 1000);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", script],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const output = child.stdout.getReader();
  await output.read(); // it has the folder
  await assert.rejects(takeDataDir(dir.path), LOCKED);
  child.kill("SIGKILL");
  await child.status;
  await output.cancel();
  (await takeDataDir(dir.path)).release();
});

Deno.test("a query past its deadline is let go of, and the next one comes after it", async () => {
  await using database = await open();
  await assert.rejects(
    database.lookup("calls", 50, (sql) => sql`select count(*) from generate_series(1, 1000000)`),
    { code: "database_unavailable", retryable: true },
  );
  const [row] = await database.lookup("calls", DEADLINE_MS, (sql) =>
    sql`
    select current_user as role`);
  assert.equal(row?.["role"], "ringmaster_app");
});

Deno.test("a transaction that is cut off in its midst leaves nothing", async () => {
  await using database = await open();
  await database.asOwner(DEADLINE_MS, (sql) => sql`create table cut (n int)`);
  await assert.rejects(
    database.asOwner(50, async (sql) => {
      await sql`insert into cut values (1)`;
      await sql`select count(*) from generate_series(1, 1000000)`;
    }),
    { code: "database_unavailable" },
  );
  const [row] = await database.asOwner(DEADLINE_MS, (sql) =>
    sql`
    select count(*)::int as count from cut`);
  assert.equal(row?.["count"], 0);
});

Deno.test("a database that was never migrated says so at once", async () => {
  await using dir = await temporaryDir();
  await using database = await openAt(dir.path);
  await assert.rejects(database.lookup("calls", DEADLINE_MS, (sql) => sql`select 1`), {
    code: "database_unavailable",
    message: 'Cannot open a session of the database: role "ringmaster_app" does not exist',
  });
});

Deno.test("what a client does to its session ends with it, and it cannot get out of its role", async () => {
  await using database = await open();
  await database.asOwner(DEADLINE_MS, (sql) => sql`set application_name = 'changed'`);
  const [row] = await database.lookup("calls", DEADLINE_MS, async (sql) => {
    await sql`savepoint s`;
    await assert.rejects(sql`set role postgres`, /permission denied/);
    await sql`rollback to s`;
    await sql`reset role`;
    await sql`reset session authorization`;
    return await sql`select current_user as role, current_setting('application_name') as name`;
  });
  assert.deepEqual({ ...row }, { role: "ringmaster_app", name: "" });
  const [owner] = await database.asOwner(DEADLINE_MS, (sql) => sql`select current_user as role`);
  assert.equal(owner?.["role"], "postgres");
});

Deno.test("a Worker that fails is logged once, and what needs it fails at once", async () => {
  const logged: string[] = [];
  const log = { ...silentLog, error: (sentence: string) => logged.push(sentence) };
  const embedded = await startEmbedded({ dir: null, log });
  const nonsense = new Uint8Array(8); // a startup message without a login name
  embedded.dial().write(nonsense);
  const database = await connect({ at: { started: embedded }, clock: systemClock, log });
  for (let i = 0; i < 2; i++) {
    await assert.rejects(database.lookup("calls", DEADLINE_MS, (sql) => sql`select 1`), {
      code: "database_unavailable",
    });
  }
  assert.deepEqual(logged, ["embedded database failed"]);
  await database.close();
  await embedded.close();
});
