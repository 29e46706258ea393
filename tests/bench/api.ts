/** Requests a second and their p99, against bare hono with the same queries: `api [--seconds 5] [--rounds 3]`. */

import { parseArgs } from "node:util";
import { startPostgres } from "@/tests/support/postgres_server.ts";
import type { Ports } from "@/tests/bench/api/child.ts";
import { measure, type Measured } from "@/tests/bench/api/load.ts";

const CONNECTIONS = 32;
const WARM_UP_MS = 2_000;

interface Row {
  readonly name: string;
  readonly requestsPerSec: number;
  readonly p99Ms: number;
  readonly bareRequestsPerSec: number;
  readonly bareP99Ms: number;
  /** Of requests a second, ours to bare: the median of the rounds. */
  readonly ratio: number;
  /** Ours without authentication, limits, errands' scopes and audit. */
  readonly unprotectedRequestsPerSec: number;
}

const ROWS = [
  { name: "read the tenant", method: "GET", path: "/tenant", body: () => "" },
  {
    name: "create an agent",
    method: "POST",
    path: "/agents",
    body: (count: number) => JSON.stringify({ name: `Agent ${count}` }),
  },
] as const;
type Contender = "ours" | "bare" | "unprotected";

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "5" },
      rounds: { type: "string", default: "3" },
    },
  });
  const postgres = await startPostgres();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", new URL("./api/child.ts", import.meta.url).pathname, postgres.url],
    stdout: "piped",
  }).spawn();
  try {
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const ports: Ports = JSON.parse((await lines.read()).value ?? "");
    const rows: Row[] = [];
    for (const row of ROWS) {
      rows.push(await compare(row, ports, Number(values.rounds), Number(values.seconds) * 1_000));
    }
    return { rows };
  } finally {
    child.kill();
    await child.status;
    await postgres.stop();
  }
}

async function compare(
  { name, method, path, body }: typeof ROWS[number],
  ports: Ports,
  rounds: number,
  durationMs: number,
): Promise<Row> {
  function load(contender: Contender, ms: number): Promise<Measured> {
    const prefix = contender === "ours" ? "/api/v1" : "";
    return measure({
      port: ports[contender],
      connections: CONNECTIONS,
      durationMs: ms,
      request(count) {
        const text = body(count);
        return `${method} ${prefix}${path} HTTP/1.1\r\nHost: localhost\r\n` +
          `Authorization: Bearer ${ports.key}\r\n` +
          (text === "" ? "\r\n" : `Content-Type: application/json\r\n` +
            `Content-Length: ${new TextEncoder().encode(text).length}\r\n\r\n${text}`);
      },
    });
  }

  const contenders = ["ours", "bare", "unprotected"] as const;
  for (const contender of contenders) await load(contender, WARM_UP_MS);
  const measured = { ours: [], bare: [], unprotected: [] } as Record<Contender, Measured[]>;
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) measured[contender].push(await load(contender, durationMs));
  }
  const perSec = (contender: Contender): number =>
    median(measured[contender].map(({ requestsPerSec }) => requestsPerSec));
  const p99 = (contender: Contender): number =>
    median(measured[contender].map(({ p99Ms }) => p99Ms));
  const ratios = measured.ours.map(({ requestsPerSec }, round) =>
    requestsPerSec / (measured.bare[round]?.requestsPerSec ?? NaN)
  );
  return {
    name,
    requestsPerSec: Math.round(perSec("ours")),
    p99Ms: rounded(p99("ours")),
    bareRequestsPerSec: Math.round(perSec("bare")),
    bareP99Ms: rounded(p99("bare")),
    ratio: rounded(median(ratios)),
    unprotectedRequestsPerSec: Math.round(perSec("unprotected")),
  };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? NaN;
}

const rounded = (value: number): number => Math.round(value * 100) / 100;
