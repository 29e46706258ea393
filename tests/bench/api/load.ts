/** A load of one HTTP request, over and over on kept-alive connections, as cheap for the machine as it can be. */

import net from "node:net";
import { systemClock } from "@/lib/clock.ts";

export interface Load {
  readonly port: number;
  /** The whole request, head and body. */
  readonly request: (count: number) => string;
  readonly connections: number;
  readonly durationMs: number;
}

export interface Measured {
  readonly requestsPerSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One request after the other on each connection. Throws when an answer is none of 2xx. */
export async function measure(load: Load): Promise<Measured> {
  const took: number[] = [];
  const start = systemClock.now();
  const until = start + load.durationMs;
  await Promise.all(Array.from({ length: load.connections }, () => drive(load, until, took)));
  const seconds = (systemClock.now() - start) / 1_000;
  took.sort((a, b) => a - b);
  const at = (part: number): number => took[Math.ceil(took.length * part) - 1] ?? 0;
  return { requestsPerSec: took.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

let sent = 0;

function drive({ port, request }: Load, until: number, took: number[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
  let begun = 0;
  let received = "";
  const next = (): void => {
    begun = systemClock.now();
    if (begun >= until) {
      socket.destroy();
      return resolve();
    }
    socket.write(request(sent++));
  };
  socket.setEncoding("latin1");
  socket.on("connect", next);
  socket.on("error", reject);
  socket.on("data", (chunk: string) => {
    received += chunk;
    const length = lengthOf(received);
    if (length === null || received.length < length) return;
    if (!/^HTTP\/1\.1 2/.test(received)) return reject(new Error(received.slice(0, 1_000)));
    received = "";
    took.push(systemClock.now() - begun);
    next();
  });
  return promise;
}

/** Bytes of the whole answer, once they can be known. */
function lengthOf(received: string): number | null {
  const head = received.indexOf("\r\n\r\n");
  if (head === -1) return null;
  const body = /\r\ncontent-length: (\d+)/i.exec(received.slice(0, head + 2))?.[1];
  if (body !== undefined) return head + 4 + Number(body);
  // The last chunk of a chunked answer is empty.
  return received.endsWith("0\r\n\r\n") ? received.length : null;
}
