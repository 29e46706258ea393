/** What callers hear while providers fail in each of 14 ways: `--runs 1 [--parallel 14]`, in real time over sockets. */

import { parseArgs } from "node:util";
import { systemClock } from "@/lib/clock.ts";
import { type FaultedCall, startFaultHouse } from "@/tests/support/fault_call.ts";
import { faultsOf, runFaultCells } from "@/tests/support/fault_cells.ts";

/** Well calls beside them. */
const WELL = 4;

/** Totals, and the figures of each cell. */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: "string", default: "1" },
      parallel: { type: "string", default: "14" },
    },
  });
  const startedAt = systemClock.now();
  const house = await startFaultHouse();
  const { cells, alone, beside } = await runFaultCells({
    house,
    runs: Number(values.runs),
    parallel: Number(values.parallel),
    well: WELL,
  });
  await house.close();
  const calls = cells.flatMap((cell) => cell.calls);
  return {
    cells: cells.length,
    ...totals(calls),
    failed: cells.flatMap(({ part, toxic, calls }) =>
      calls.flatMap((call) => faultsOf(toxic, call).map((what) => `${part} ${toxic}: ${what}`))
    ),
    well: {
      calls: beside.length,
      lost: beside.filter(({ isLost }) => isLost).length,
      waitP99AloneMs: Math.round(p99(alone.flatMap(({ waitsMs }) => waitsMs))),
      waitP99Ms: Math.round(p99(beside.flatMap(({ waitsMs }) => waitsMs))),
    },
    healthyP99RatioMax: ratio(alone, beside),
    cell: Object.fromEntries(
      cells.map(({ part, toxic, calls }) => [`${part} ${toxic}`, totals(calls)]),
    ),
    seconds: Math.round((systemClock.now() - startedAt) / 1_000),
  };
}

function totals(calls: readonly FaultedCall[]): Record<string, unknown> {
  const opened = calls.flatMap(({ failuresToOpen }) => failuresToOpen ?? []);
  return {
    runs: calls.length,
    lost: calls.filter(({ isLost }) => isLost).length,
    deadAirMaxMs: Math.round(Math.max(...calls.map(({ deadAirMs }) => deadAirMs))),
    fallbackP99Ms: Math.round(p99(calls.map(({ fallbackMs }) => fallbackMs))),
    breakerFailuresMax: opened.length === 0 ? null : Math.max(...opened),
    leaked: calls.reduce((sum, { leaked }) => sum + leaked, 0),
  };
}

function ratio(alone: readonly FaultedCall[], beside: readonly FaultedCall[]): number {
  const of = (calls: readonly FaultedCall[]): number => p99(calls.flatMap((it) => it.waitsMs));
  return Math.round(100 * of(beside) / of(alone)) / 100;
}

function p99(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1] ?? 0;
}
