/** What callers hear while providers fail in each of 14 ways: `--runs 1 [--parallel 14]`, in real time over sockets. */

import { parseArgs } from "node:util";
import { systemClock } from "@/lib/clock.ts";
import { type FaultedCall, startFaultHouse } from "@/tests/support/fault_call.ts";
import {
  faultsOf,
  loneFaultsOf,
  runFaultCells,
  runLoneCells,
} from "@/tests/support/fault_cells.ts";

/** Well calls at a time beside them, and before them in all. */
const WELL = 4;
const BEFORE = 36;

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
  const { cells, before, beside } = await runFaultCells({
    house,
    runs: Number(values.runs),
    parallel: Number(values.parallel),
    well: WELL,
    before: BEFORE,
  });
  const lone = await runLoneCells(house);
  await house.close();
  const calls = cells.flatMap((cell) => cell.calls);
  return {
    cells: cells.length,
    ...totals(calls),
    voids: cells.reduce((sum, { voids }) => sum + voids, 0),
    failed: cells.flatMap(({ part, toxic, calls }) =>
      calls.flatMap((call) => faultsOf(toxic, call).map((what) => `${part} ${toxic}: ${what}`))
    ),
    well: {
      calls: beside.length,
      lost: beside.filter(({ isLost }) => isLost).length,
      waitP50BeforeMs: waitMs(before, 0.5),
      waitP50Ms: waitMs(beside, 0.5),
      waitP99BeforeMs: waitMs(before, 0.99),
      waitP99Ms: waitMs(beside, 0.99),
    },
    healthyP99RatioMax: Math.round(100 * waitMs(beside, 0.99) / waitMs(before, 0.99)) / 100,
    cell: Object.fromEntries(
      cells.map(({ part, toxic, calls }) => [`${part} ${toxic}`, totals(calls)]),
    ),
    lone: Object.fromEntries(lone.map(({ part, toxic, calls }) => [`${part} ${toxic}`, {
      deadAirMaxMs: Math.round(Math.max(...calls.map(({ deadAirMs }) => deadAirMs))),
      failed: calls.flatMap(loneFaultsOf),
    }])),
    seconds: Math.round((systemClock.now() - startedAt) / 1_000),
  };
}

function totals(calls: readonly FaultedCall[]): Record<string, unknown> {
  const opened = calls.flatMap(({ failuresToOpen }) => failuresToOpen ?? []);
  return {
    runs: calls.length,
    lost: calls.filter(({ isLost }) => isLost).length,
    deadAirMaxMs: Math.round(Math.max(...calls.map(({ deadAirMs }) => deadAirMs))),
    fallbackP99Ms: Math.round(quantile(calls.map(({ fallbackMs }) => fallbackMs), 0.99)),
    breakerFailuresMax: opened.length === 0 ? null : Math.max(...opened),
    leaked: calls.reduce((sum, { leaked }) => sum + leaked, 0),
  };
}

function waitMs(calls: readonly FaultedCall[], part: number): number {
  return Math.round(quantile(calls.flatMap((it) => it.waitsMs), part));
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(part * sorted.length) - 1] ?? 0;
}
