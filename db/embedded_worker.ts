/** The Worker in which PGlite runs: takes the bytes of one connection at a time, and answers them in order. */

/// <reference lib="deno.worker" />

import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { messageOf } from "@/lib/errors.ts";
import { exists } from "./data_dir.ts";

/** What the main thread asks. `id` names a connection; bytes are whole messages of the Postgres protocol. */
export type ToWorker =
  | { type: "start"; dir: string | null; snapshot: string | null }
  | { type: "open"; id: number }
  | { type: "bytes"; id: number; bytes: Uint8Array }
  | { type: "close"; id: number }
  | { type: "dump"; path: string }
  | { type: "stop" };

/** What the Worker answers. After `failed` it is of no use any more. */
export type FromWorker =
  | { type: "started" }
  | { type: "bytes"; id: number; bytes: Uint8Array }
  | { type: "closed"; id: number }
  | { type: "dumped" }
  | { type: "failed"; message: string }
  | { type: "stopped" };

const SYNC = Uint8Array.of(0x53, 0, 0, 0, 4); // ends an extended query that lost its client

let database: PGlite | null = null;
let current: number | null = null;
let work: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  work = work.then(() => handle(data)).catch((error: unknown) => {
    post({ type: "failed", message: messageOf(error) });
  });
};

async function handle(message: ToWorker): Promise<void> {
  if (message.type === "start") {
    database = await open(message.dir, message.snapshot);
    return post({ type: "started" });
  }
  if (database === null) throw new Error("The database has not been started");
  switch (message.type) {
    case "open":
      if (current !== null) await leave(database, current);
      current = message.id;
      return;
    case "bytes":
      if (message.id !== current) return; // its client has given up
      return await answer(database, message.id, message.bytes);
    case "close":
      if (message.id === current) await leave(database, current);
      return;
    case "dump": {
      const tar = await database.dumpDataDir("none");
      await Deno.writeFile(message.path, tar.stream());
      return post({ type: "dumped" });
    }
    case "stop":
      await database.close();
      return post({ type: "stopped" });
  }
}

/** A folder that was never finished is made anew: PG_VERSION alone does not say that initdb came to its end. */
async function open(dir: string | null, snapshot: string | null): Promise<PGlite> {
  const extensions = { vector };
  if (dir === null) {
    return await PGlite.create({
      extensions,
      ...(snapshot === null ? {} : { loadDataDir: new Blob([await Deno.readFile(snapshot)]) }),
    });
  }
  if (!await exists(dir)) {
    const unfinished = `${dir}.unfinished`;
    if (await exists(unfinished)) await Deno.remove(unfinished, { recursive: true });
    const fresh = await PGlite.create({ dataDir: unfinished, extensions });
    await fresh.close();
    await Deno.rename(unfinished, dir);
  }
  return await PGlite.create({ dataDir: dir, extensions });
}

async function answer(database: PGlite, id: number, bytes: Uint8Array): Promise<void> {
  const parts: Uint8Array[] = [];
  await database.execProtocolRawStream(bytes, { onRawData: (part) => parts.push(part.slice()) });
  const isStartup = bytes[0] === 0; // every other message begins with its letter
  const refusal = isStartup ? await become(database, userOf(bytes)) : null;
  post({ type: "bytes", id, bytes: refusal === null ? concat(parts) : fatal(refusal) });
  if (refusal !== null) await leave(database, id);
}

/**
 * PGlite's one session ignores the login name, so it is made true here. Neither `set role`, `reset role`
 * nor `discard all` gets out of it. Returns why it cannot be, as in a database that was never migrated.
 */
async function become(database: PGlite, user: string): Promise<string | null> {
  try {
    await database.exec(`set session authorization "${user}"`);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** ErrorResponse: `E`, int32 length, fields of a letter and text ended by a zero byte each, and a zero byte. */
function fatal(message: string): Uint8Array {
  const fields = new TextEncoder().encode(`SFATAL\0VFATAL\0C28000\0M${message}\0\0`);
  const bytes = new Uint8Array(5 + fields.length);
  bytes[0] = 0x45;
  new DataView(bytes.buffer).setInt32(1, 4 + fields.length);
  bytes.set(fields, 5);
  return bytes;
}

/** Leaves nothing of a connection to the next one: no transaction, role, setting or prepared statement. */
async function leave(database: PGlite, id: number): Promise<void> {
  current = null;
  await database.execProtocolRawStream(SYNC, { onRawData: () => {} });
  if (database.isInTransaction()) await database.exec("rollback");
  await database.exec("discard all");
  post({ type: "closed", id });
}

/** StartupMessage: int32 length, int32 version, then name and value pairs, each ended by a zero byte. */
function userOf(startup: Uint8Array): string {
  const words = new TextDecoder().decode(startup.subarray(8)).split("\0");
  const user = words[words.indexOf("user") + 1];
  if (user === undefined || !/^[a-z_]+$/.test(user)) throw new Error("The login name is not ours");
  return user;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function post(message: FromWorker): void {
  self.postMessage(message);
}
