/** Every part with every fault, a few calls at a time, and well calls of another account beside them; and parts alone. */

import {
  FAULT_PARTS,
  type FaultedCall,
  type FaultHouse,
  type FaultPart,
  LAG_MAX_MS,
} from "./fault_call.ts";
import { type Toxic, TOXICS } from "./toxic.ts";

export interface FaultCell {
  readonly part: FaultPart;
  readonly toxic: Toxic;
  readonly calls: readonly FaultedCall[];
  /** Calls that the machine kept from running meanwhile, and which were made again, alone. */
  readonly voids: number;
}

export interface FaultCells {
  readonly cells: readonly FaultCell[];
  /** Well calls before, when nobody was ill; and well calls while the others were. */
  readonly before: readonly FaultedCall[];
  readonly beside: readonly FaultedCall[];
}

export interface FaultCellsOptions {
  readonly house: FaultHouse;
  /** Calls of each cell. */
  readonly runs: number;
  /** Ill calls at a time. */
  readonly parallel: number;
  /** Well calls at a time, beside them. */
  readonly well: number;
  /** Well calls before, as many at a time as there will be of both: what the machine itself costs. */
  readonly before: number;
}

const TRIES_MAX = 3;

export async function runFaultCells(options: FaultCellsOptions): Promise<FaultCells> {
  const { house, runs, parallel, well } = options;
  const cells = FAULT_PARTS.flatMap((part) =>
    TOXICS.map((toxic) => ({ part, toxic, calls: [] as FaultedCall[], voids: 0 }))
  );
  const waiting = Array.from({ length: runs }, () => cells).flat();
  const wellCalls = (count: number): Promise<FaultedCall[]> =>
    Promise.all(Array.from({ length: count }, () => house.call(null)));
  const before: FaultedCall[] = [];
  while (before.length < options.before) before.push(...await wellCalls(parallel + well));
  const beside: FaultedCall[] = [];
  const again: typeof cells = [];
  let isOver = false;

  async function ill(): Promise<void> {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      const call = await house.call(cell);
      if (isVoid(cell.toxic, call)) again.push(cell);
      else cell.calls.push(call);
    }
  }
  async function alone(cell: typeof cells[number]): Promise<void> {
    for (let tries = 0;; tries++) {
      cell.voids++;
      const call = await house.call(cell);
      if (tries < TRIES_MAX && isVoid(cell.toxic, call)) continue;
      return void cell.calls.push(call);
    }
  }
  async function others(): Promise<void> {
    while (!isOver) {
      const calls = await wellCalls(well);
      beside.push(...calls.filter((call) => !isVoid(null, call)));
    }
  }

  const besides = others();
  await Promise.all(Array.from({ length: parallel }, ill));
  isOver = true;
  await besides;
  for (const cell of again) await alone(cell);
  return { cells, before, beside };
}

/** Failures may open a breaker after so many at the latest; a 429 is none. */
export const FAILURES_TO_OPEN_MAX = 5;
export const DEAD_AIR_MAX_MS = 4_000;
export const FALLBACK_MAX_MS = 1_500;

/** Faults of a provider that has no other beside it: most have one of each. */
export const LONE_CELLS: readonly (readonly [FaultPart, Toxic])[] = [
  ["stt", "refuse"],
  ["stt", "hangHead"],
  ["stt", "hangStream"],
  ["stt", "reset"],
  ["stt", "status503"],
  ["llm", "hangHead"],
  ["llm", "status503"],
  ["tts", "hangStream"],
  ["tts", "status503"],
];

/** One call of each, all at a time. */
export async function runLoneCells(house: FaultHouse): Promise<readonly FaultCell[]> {
  return await Promise.all(LONE_CELLS.map(async ([part, toxic]) => {
    const illness = { part, toxic };
    let call = await house.call(illness, false);
    let voids = 0;
    while (call.lagMs > LAG_MAX_MS && loneFaultsOf(call).length > 0 && voids++ < TRIES_MAX) {
      call = await house.call(illness, false);
    }
    return { ...illness, calls: [call], voids };
  }));
}

/** Where nobody stands in the call may come to an end, but not without a word. */
export function loneFaultsOf({ isLost, isExcused, deadAirMs, leaked }: FaultedCall): string[] {
  return [
    ...(isLost && !isExcused ? ["the call was lost without a word"] : []),
    ...(deadAirMs > DEAD_AIR_MAX_MS ? [`${Math.round(deadAirMs)} ms of dead air`] : []),
    ...(leaked > 0 ? [`${leaked} timers or sockets were left`] : []),
  ];
}

/** What went wrong while the process itself could not run is no finding. */
function isVoid(toxic: Toxic | null, call: FaultedCall): boolean {
  return call.lagMs > LAG_MAX_MS && faultsOf(toxic, call).length > 0;
}

/** What a call under faults did that none may; empty: nothing. */
export function faultsOf(toxic: Toxic | null, call: FaultedCall): string[] {
  const { isLost, deadAirMs, fallbackMs, failuresToOpen, leaked } = call;
  const opens = toxic === null || toxic === "status429"
    ? failuresToOpen === null
    : failuresToOpen !== null && failuresToOpen <= FAILURES_TO_OPEN_MAX;
  return [
    ...(isLost ? ["the call was lost"] : []),
    ...(deadAirMs > DEAD_AIR_MAX_MS ? [`${Math.round(deadAirMs)} ms of dead air`] : []),
    ...(toxic !== null && fallbackMs > FALLBACK_MAX_MS
      ? [`nothing was heard for ${Math.round(fallbackMs)} ms past the deadline`]
      : []),
    ...(opens ? [] : [`the breaker opened after ${failuresToOpen} failures`]),
    ...(leaked > 0 ? [`${leaked} timers or sockets were left`] : []),
  ];
}
