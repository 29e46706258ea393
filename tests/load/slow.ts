/** Slow clients of four kinds, and an honest one beside them: `slow --connections 5000 [--url URL]`. */

import net from "node:net";
import { parseArgs } from "node:util";
import { sleep, systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { serverProcess } from "./server_process.ts";
import type { Visited, Visits } from "./slow_visitor.ts";

const CONNECTIONS_MAX = 25_000; // of 250 addresses
/** So many of each address, below the bound of one: that would end the attack at once. */
const PER_ADDRESS = 100;
const DRIP_MS = 1_000;
/** 500 a second: more than tools of this kind open by themselves. A faster burst measures the system's queue. */
const EVERY_MS = 2;
/** A connection that is still open then is counted as not closed. */
const WATCH_MS = 40_000;
const WARM_UP_MS = 3_000;

/** What each kind sends at first, and then again every second. */
const KINDS = {
  silent: { first: "", drip: "" },
  headers: { first: "GET /health HTTP/1.1\r\nHost: localhost\r\n", drip: "X-A: 1\r\n" },
  body: {
    first: "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n" +
      "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
    drip: " ",
  },
  /** Asks for much, again and again, and reads nothing. */
  reader: {
    first: "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50),
    drip: "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
  },
} as const;
type Kind = keyof typeof KINDS;

/** `closedMs`: the longest that a connection of the kind was open; null when one was never closed. */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { connections: { type: "string", default: "200" }, url: { type: "string" } },
  });
  const count = Number(values.connections);
  if (!Number.isInteger(count) || count < 4 || count > CONNECTIONS_MAX) {
    throw new AppError("invalid", `--connections takes 4 to ${CONNECTIONS_MAX}`, {
      field: "--connections",
    });
  }
  const own = values.url === undefined ? await serverProcess({}) : null;
  const url = new URL(values.url ?? own?.url ?? "");
  try {
    const visitor = newVisitor({ url: url.href, apiKey: own?.apiKey ?? null });
    await sleep(systemClock, WARM_UP_MS); // a server that has just begun answers nobody soon
    await visitor.take();
    const kinds = Object.keys(KINDS) as Kind[]; // of the very object
    const attack = Array.from({ length: count }, async (_, nth) => {
      const kind = kinds[nth % kinds.length] ?? "silent";
      return { kind, openMs: await attackOnce(Number(url.port), kind, nth) };
    });
    const ended = await Promise.all(attack);
    const { times: seen, failed } = await visitor.take();
    const times = seen.toSorted((a, b) => a - b);
    visitor.end();
    const rows = kinds.map((kind) => {
      const open = ended.filter((it) => it.kind === kind).map((it) => it.openMs);
      return { kind, closedMs: open.includes(null) ? null : Math.max(...open.map(Number)) };
    });
    return {
      connections: count,
      rows,
      honestRequests: times.length,
      honestFailed: failed,
      honestP50Ms: times[Math.floor(times.length / 2)] ?? null,
      honestP99Ms: times[Math.ceil(times.length * 0.99) - 1] ?? null,
      failed: failed + rows.filter(({ closedMs }) => closedMs === null).length,
    };
  } finally {
    await own?.close();
  }
}

/** Milliseconds until it was closed; null when it still is open at the end. */
async function attackOnce(port: number, kind: Kind, nth: number): Promise<number | null> {
  await sleep(systemClock, nth * EVERY_MS);
  const { promise, resolve } = Promise.withResolvers<void>();
  const startedAt = systemClock.now();
  const socket = net.connect({
    port,
    host: "127.0.0.1",
    localAddress: `127.0.1.${1 + Math.floor(nth / PER_ADDRESS)}`,
  });
  if (kind === "reader") socket.pause();
  else socket.resume();
  socket.on("connect", () => socket.write(KINDS[kind].first));
  socket.on("error", () => resolve());
  socket.on("close", () => resolve());
  socket.on("end", () => resolve());
  const ended = new AbortController();
  promise.then(() => ended.abort());
  try {
    while (systemClock.now() - startedAt < WATCH_MS) {
      await sleep(systemClock, DRIP_MS, ended.signal);
      if (KINDS[kind].drip !== "") socket.write(KINDS[kind].drip);
    }
    return null;
  } catch {
    return Math.round(systemClock.now() - startedAt);
  } finally {
    socket.destroy();
  }
}

/** In a thread of its own: what it measures is not how busy this one is. */
function newVisitor(visited: Visited) {
  const worker = new Worker(import.meta.resolve("./slow_visitor.ts"), { type: "module" });
  worker.postMessage(visited);
  return {
    /** What it has seen since it was last asked. */
    take(): Promise<Visits> {
      return new Promise((resolve) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.postMessage("take");
      });
    },
    end: () => worker.terminate(),
  };
}
