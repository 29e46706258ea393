/** Long calls at virtual time, and the heap over many short ones: `soak [--calls 100] [--minutes 30] [--seed 1] [--short 1000]`. */

import { parseArgs } from "node:util";
import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { runSoak } from "@/tests/support/soak.ts";

/** The slope is a line through so many looks at the heap; those before are warming up. */
const LOOKS = 10;

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      calls: { type: "string", default: "100" },
      minutes: { type: "string", default: "30" },
      seed: { type: "string", default: "1" },
      short: { type: "string", default: "1000" },
    },
  });
  const number = (name: "calls" | "minutes" | "seed" | "short"): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= 1) return value;
    throw new AppError("invalid", `--${name} takes a whole number from 1`, { field: `--${name}` });
  };
  const options = { calls: number("calls"), minutes: number("minutes"), seed: number("seed") };
  const startedAt = systemClock.now();
  const heap = await heapOver(number("short"));
  const result = await runSoak(options);
  const seconds = Math.round((systemClock.now() - startedAt) / 1_000);
  return { ...result, minutes: options.minutes, ...heap, seconds };
}

/** In a process of its own, whose heap can be collected before it is read. */
async function heapOver(calls: number): Promise<Record<string, number>> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-q", "-A", "--v8-flags=--expose-gc"],
      ...[new URL("./soak/heap.ts", import.meta.url).pathname, String(calls), String(LOOKS)],
    ],
    stdout: "piped",
  }).output();
  if (!success) throw new Error("The calls whose heap is read have failed");
  const heapMb: number[] = JSON.parse(new TextDecoder().decode(stdout));
  const settled = heapMb.slice(Math.floor(LOOKS / 2));
  const per = calls / LOOKS;
  return {
    shortCalls: calls,
    heapMb: settled.at(-1) ?? 0,
    heapSlopeKbPerCall: Math.round(slope(settled) / per * 1_024 * 100) / 100,
  };
}

/** Of the line through the values by least squares, a step apart. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const spread = values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
  return values.reduce((sum, value, at) => sum + (at - middle) * (value - mean), 0) / spread;
}
