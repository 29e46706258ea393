/** A migrated, empty database for one test file: embedded, or on the PostgreSQL server that the runner started. */

import { connect, type Database } from "@/db/client.ts";
import { type Embedded, startEmbedded } from "@/db/embedded.ts";
import { migrate, readMigrations } from "@/db/migrate.ts";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import postgres from "postgres";
import { tmpdir } from "node:os";

export interface TestDatabase {
  /** Opens it with connections of its own. Close it in the same test. */
  open(options?: { readonly clock?: Clock }): Promise<Database>;
}

/** To be awaited at the top of the file: it is made before the tests, and removed after them. */
export async function testDatabase(): Promise<TestDatabase> {
  const server = serverUrl();
  return removedAfterAll(server === null ? await inMemory() : await copyOfTemplate(server));
}

/** The embedded one, whatever the runner chose. */
export async function embeddedTestDatabase(): Promise<TestDatabase> {
  return removedAfterAll(await inMemory());
}

function removedAfterAll(made: Made): TestDatabase {
  Deno.test.afterAll(() => made.remove());
  return { open: ({ clock } = {}) => made.open(clock ?? systemClock) };
}

/** The server that `TEST_DATABASE` chooses; null for PGlite. */
function serverUrl(): string | null {
  const kind = Deno.env.get("TEST_DATABASE") ?? "pglite";
  if (kind === "pglite") return null;
  const url = Deno.env.get("TEST_DATABASE_URL");
  if (kind !== "postgres" || !url) {
    throw new Error("TEST_DATABASE is pglite, or postgres with a TEST_DATABASE_URL");
  }
  return url;
}

interface Made {
  open(clock: Clock): Promise<Database>;
  remove(): Promise<void>;
}

/** From a snapshot that the first test of this schema leaves in the temporary folder: initdb takes seconds. */
async function inMemory(): Promise<Made> {
  const snapshot = `${tmpdir()}/ringmaster_${await schemaHash()}.tar`;
  const embedded = await startFrom(snapshot) ?? await startAndLeave(snapshot);
  return {
    open: (clock) => connect({ at: { started: embedded }, clock, log: silentLog }),
    remove: () => embedded.close(),
  };
}

async function startFrom(snapshot: string): Promise<Embedded | null> {
  try {
    await Deno.stat(snapshot);
  } catch {
    return null;
  }
  return await startEmbedded({ dir: null, snapshot, log: silentLog });
}

async function startAndLeave(snapshot: string): Promise<Embedded> {
  const embedded = await startEmbedded({ dir: null, log: silentLog });
  const database = await connect({
    at: { started: embedded },
    clock: systemClock,
    log: silentLog,
  });
  await migrate(database, { log: silentLog });
  await database.close();
  const unfinished = await Deno.makeTempFile({ prefix: "ringmaster_" });
  await embedded.dump(unfinished);
  await Deno.rename(unfinished, snapshot); // another test may be doing the same
  return embedded;
}

async function copyOfTemplate(server: string): Promise<Made> {
  const template = `ringmaster_${await schemaHash()}`;
  const name = `ringmaster_test_${crypto.randomUUID().slice(0, 8)}`;
  await onServer(server, async (sql) => {
    await sql`select pg_advisory_lock(1)`; // another test may be making the template
    const made = await sql`select 1 from pg_database where datname = ${template}`;
    if (made.length === 0) await makeTemplate(sql, server, template);
    await sql`create database ${sql(name)} template ${sql(template)}`;
  });
  return {
    open: (clock) => connect({ at: { url: urlOf(server, name) }, clock, log: silentLog }),
    remove: () =>
      onServer(server, async (sql) => {
        await sql`drop database ${sql(name)} with (force)`;
      }),
  };
}

/** Migrated under another name first: a template that exists is whole. */
async function makeTemplate(sql: postgres.Sql, server: string, template: string): Promise<void> {
  const unfinished = `${template}_unfinished`;
  await sql`drop database if exists ${sql(unfinished)}`;
  await sql`create database ${sql(unfinished)}`;
  const at = { url: urlOf(server, unfinished) };
  const database = await connect({ at, clock: systemClock, log: silentLog });
  await migrate(database, { log: silentLog });
  await database.close();
  await sql`alter database ${sql(unfinished)} rename to ${sql(template)}`;
}

async function onServer(url: string, work: (sql: postgres.Sql) => Promise<void>): Promise<void> {
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}

function urlOf(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

/** Changes with the migrations, and with PGlite. */
async function schemaHash(): Promise<string> {
  const text = JSON.stringify([
    await readMigrations(),
    import.meta.resolve("@electric-sql/pglite"),
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex().slice(0, 12);
}
