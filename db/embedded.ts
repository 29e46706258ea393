/** The embedded database: PGlite in its own Worker, which the `postgres` client reaches as over a socket. */

import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import { type DataDir, takeDataDir } from "./data_dir.ts";
import type { FromWorker, ToWorker } from "./embedded_worker.ts";

export interface EmbeddedOptions {
  /** The folder it is kept in, as `.ringmaster`; null for one in memory that ends with the process. */
  readonly dir: string | null;
  /** A file written by `dump`, which a database in memory starts from: 0.3 s instead of 2.5 s. */
  readonly snapshot?: string;
  readonly log: Log;
}

export interface Embedded {
  /** A connection to the one session; the one before it is closed. Throws when the Worker has failed. */
  dial(): EmbeddedSocket;
  /** Writes the whole database to a file, for `snapshot`. No connection may be open. */
  dump(path: string): Promise<void>;
  close(): Promise<void>;
}

/** Throws AppError("data_dir_locked" | "database_unavailable"). */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const held = options.dir === null ? null : await takeDataDir(options.dir);
  try {
    return await startWorker(options, held);
  } catch (error) {
    held?.release();
    throw error;
  }
}

async function startWorker(options: EmbeddedOptions, held: DataDir | null): Promise<Embedded> {
  const worker = new Worker(new URL("./embedded_worker.ts", import.meta.url), { type: "module" });
  const sockets = new Map<number, EmbeddedSocket>();
  const answers = new Answers();
  let failed: AppError | null = null;
  let dials = 0;

  function fail(message: string): void {
    failed = new AppError("database_unavailable", `The embedded database failed: ${message}`);
    answers.fail(failed);
    worker.terminate();
    for (const socket of sockets.values()) socket.destroy();
    options.log.error("embedded database failed", { error: failed });
  }

  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    switch (data.type) {
      case "bytes":
        return sockets.get(data.id)?.receive(data.bytes);
      case "closed":
        return sockets.get(data.id)?.destroy();
      case "failed":
        return fail(data.message);
      case "started":
      case "dumped":
      case "stopped":
        return answers.take(data.type);
    }
  };
  worker.onerror = (event) => {
    event.preventDefault(); // an error in the Worker would end this process
    fail(event.message);
  };
  const post = (message: ToWorker): void => worker.postMessage(message);

  post({ type: "start", dir: held?.database ?? null, snapshot: options.snapshot ?? null });
  await answers.next("started");

  return {
    dial() {
      if (failed) throw failed;
      const id = ++dials;
      const socket = new EmbeddedSocket(
        (bytes) => post({ type: "bytes", id, bytes }),
        () => {
          sockets.delete(id);
          post({ type: "close", id });
        },
      );
      sockets.set(id, socket);
      post({ type: "open", id });
      return socket;
    },
    async dump(path) {
      post({ type: "dump", path });
      await answers.next("dumped");
    },
    async close() {
      if (!failed) {
        post({ type: "stop" });
        await answers.next("stopped");
      }
      worker.terminate();
      held?.release();
    },
  };
}

/** The Worker's word that something is done, for the one that waits for it. */
class Answers {
  readonly #waiting = new Map<FromWorker["type"], PromiseWithResolvers<void>>();
  #failed: AppError | null = null;

  next(type: FromWorker["type"]): Promise<void> {
    if (this.#failed) return Promise.reject(this.#failed);
    const waiter = Promise.withResolvers<void>();
    this.#waiting.set(type, waiter);
    return waiter.promise;
  }

  take(type: FromWorker["type"]): void {
    this.#waiting.get(type)?.resolve();
    this.#waiting.delete(type);
  }

  fail(error: AppError): void {
    this.#failed = error;
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
  }
}

/** As much of a `net.Socket` as the `postgres` client uses; always open until it is ended or destroyed. */
export class EmbeddedSocket extends EventEmitter {
  readyState: "open" | "closed" = "open";
  readonly #send: (bytes: Uint8Array) => void;
  readonly #close: () => void;

  constructor(send: (bytes: Uint8Array) => void, close: () => void) {
    super();
    this.#send = send;
    this.#close = close;
  }

  /** True: the client never waits for a drain, since its one session has one transaction at a time. */
  write(bytes: Uint8Array, written?: () => void): boolean {
    if (this.readyState === "open") this.#send(bytes);
    if (written) queueMicrotask(written);
    return true;
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    this.#close();
    queueMicrotask(() => this.emit("close", false));
  }

  /** A throw of the client's own listener ends this connection, not the process. */
  receive(bytes: Uint8Array): void {
    if (this.readyState === "closed") return;
    try {
      this.emit("data", Buffer.from(bytes.buffer));
    } catch (error) {
      this.emit("error", error);
      this.destroy();
    }
  }
}
