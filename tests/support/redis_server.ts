/** A real Redis of the system in a temporary folder, reached over a Unix socket, that tests may stop, hang and start again. */

import { sleep, systemClock } from "@/lib/clock.ts";
import { connectRedis, type RedisConnection } from "./redis_connection.ts";

export interface RedisServer {
  /** Its socket, for `connectRedis`. */
  readonly path: string;
  /** Ends it at once, if it runs; what it held is lost, as it keeps nothing on disk. */
  kill(): Promise<void>;
  /** After `kill`. Resolves when it takes connections. */
  start(): Promise<void>;
  /** Stops and continues its process: connections stay, and nobody answers. */
  hang(): void;
  wake(): void;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

const START_TRIES = 200;
const START_MS = 25;

export async function startRedis(): Promise<RedisServer> {
  const folder = await Deno.makeTempDir({ prefix: "ringmaster_redis_" });
  const path = `${folder}/redis.sock`;
  const command = new Deno.Command("redis-server", {
    args: ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no"],
    cwd: folder,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  let process: Deno.ChildProcess | null = command.spawn();
  await answering(path);

  async function kill(): Promise<void> {
    process?.kill("SIGKILL");
    await process?.status;
    process = null;
  }

  return {
    path,
    kill,
    async start() {
      process = command.spawn();
      await answering(path);
    },
    hang: () => process?.kill("SIGSTOP"),
    wake: () => process?.kill("SIGCONT"),
    async stop() {
      await kill();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function answering(path: string): Promise<void> {
  for (let tried = 1;; tried++) {
    let redis: RedisConnection | undefined;
    try {
      redis = await connectRedis(path);
      await redis.send(["PING"]);
      return;
    } catch (error) {
      if (tried === START_TRIES) throw new Error("Redis did not start", { cause: error });
      await sleep(systemClock, START_MS);
    } finally {
      redis?.close();
    }
  }
}
