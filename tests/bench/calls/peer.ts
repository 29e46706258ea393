/**
 * Another runtime's own bench, run beside ours: `node bench.mjs CALLS TURNS` in a folder of the caller's, with what it
 * needs installed there. It prints one line of JSON with `p50`, `p99` (milliseconds) and `cpuPct`, as text or numbers.
 */

import { z } from "zod";
import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { jsonOf } from "@/lib/providers/socket_client.ts";

export interface Peer {
  readonly peerP50Ms: number;
  readonly peerP99Ms: number;
  readonly peerCpuPercent: number;
}

const Line = z.object({
  p50: z.coerce.number(),
  p99: z.coerce.number(),
  cpuPct: z.coerce.number(),
});

/** A turn of a peer that answers; one that does not is given up by itself, after twenty seconds. */
const TURN_MS = 4_000;
const TURN_MAX_MS = 25_000;
const START_MAX_MS = 60_000;

/** On one core, as ours. Throws AppError("invalid") for a folder whose bench prints no figures. */
export async function runPeer(
  folder: string,
  { cpu, calls, durationMs }: {
    readonly cpu: number;
    readonly calls: number;
    readonly durationMs: number;
  },
): Promise<Peer> {
  const turns = Math.max(2, Math.floor(durationMs / TURN_MS));
  const stop = new AbortController();
  const cancel = systemClock.timer(START_MAX_MS + turns * TURN_MAX_MS, () => stop.abort());
  const { stdout, stderr } = await new Deno.Command("taskset", {
    args: ["-c", String(cpu), "node", "bench.mjs", String(calls), String(turns)],
    cwd: folder,
    signal: stop.signal,
  }).output();
  cancel();
  const read = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  const line = read(stdout).split("\n").find((it) => it.startsWith("{")) ?? "";
  const parsed = Line.safeParse(jsonOf(line));
  if (!parsed.success) {
    throw new AppError("invalid", `No figures of "${folder}": ${read(stderr).slice(-300)}`, {
      field: "--beside",
    });
  }
  const { p50, p99, cpuPct } = parsed.data;
  return { peerP50Ms: p50, peerP99Ms: p99, peerCpuPercent: cpuPct };
}
