/** Brings the schema up to date: plain SQL files in order, each in its own transaction, each once. */

import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { Database, Sql } from "./client.ts";

const REACH_MS = 30_000; // a database that starts together with us
const MIGRATION_MS = 600_000; // one file, and the wait for another process that is at it
const LOCK = 7_446_001; // any number that nothing else in the database locks

export interface Migration {
  /** The file's name without `.sql`, as `0001_roles`; they run in the order of their names. */
  readonly name: string;
  readonly sql: string;
}

/** Those of the `migrations` folder beside this file. */
export async function readMigrations(): Promise<Migration[]> {
  const folder = new URL("./migrations/", import.meta.url);
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".sql")) names.push(name);
  return await Promise.all(
    names.sort().map(async (name) => ({
      name: name.slice(0, -".sql".length),
      sql: await Deno.readTextFile(new URL(name, folder)),
    })),
  );
}

/**
 * Runs what has not run yet; returns the names. Two processes may start at once: one waits for the other.
 * Throws AppError("conflict") when a file was changed after it ran. Later migrations than ours are
 * no error: the schema stays usable for the version before.
 */
export async function migrate(
  database: Database,
  options: { readonly log: Log; readonly migrations?: readonly Migration[] },
): Promise<string[]> {
  const migrations = options.migrations ?? await readMigrations();
  await database.asOwner(REACH_MS, (sql) => sql`select 1`);
  await database.asOwner(MIGRATION_MS, async (sql) => {
    await sql`select pg_advisory_xact_lock(${LOCK})`;
    await sql`
      create table if not exists migration (
        name text primary key,
        checksum text not null,
        ran_at timestamptz not null default now()
      )`;
  });
  const ran: string[] = [];
  for (const migration of migrations) {
    const checksum = await sha256(migration.sql);
    const isNew = await database.asOwner(MIGRATION_MS, (sql) => apply(sql, migration, checksum));
    if (!isNew) continue;
    options.log.info("migrated", { migration: migration.name });
    ran.push(migration.name);
  }
  return ran;
}

/** False when it has run before. */
async function apply(sql: Sql, migration: Migration, checksum: string): Promise<boolean> {
  await sql`select pg_advisory_xact_lock(${LOCK})`;
  const [before] = await sql<{ checksum: string }[]>`
    select checksum from migration where name = ${migration.name}`;
  if (before?.checksum === checksum) return false;
  if (before) {
    throw new AppError(
      "conflict",
      `Migration "${migration.name}" was changed after it ran: restore the file and add a new one`,
    );
  }
  await sql.unsafe(migration.sql).simple();
  await sql`insert into migration (name, checksum) values (${migration.name}, ${checksum})`;
  return true;
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}
