/** Calls come up, faults strike, and the calls run to their ends. */

import { sleep, systemClock } from "@/lib/clock.ts";
import type { Machines } from "@/tests/load/machines.ts";
import { type Fallen, type Fault, NO_FAULT, ring } from "./calls.ts";
import type { KindOfFault, StrikeOptions } from "./kinds.ts";

export interface RoundOptions {
  readonly calls: number;
  /** What each caller says to the agent. */
  readonly lines: readonly string[];
  /** One after the other; before the next one all machines run again. */
  readonly strikes: readonly (readonly [kind: KindOfFault, options: StrikeOptions])[];
  /** From the last ring to the first fault, and from one to the next: callers and agents are in the middle of it. */
  readonly talkMs: number;
}

/** Between two rings. */
const RING_EVERY_MS = 60;

/** Resolves when the last call has ended, and all machines run. */
export async function round(machines: Machines, options: RoundOptions): Promise<Fallen[]> {
  const { calls, lines, strikes, talkMs } = options;
  const ringing: Promise<Fallen>[] = [];
  let fault: Fault = NO_FAULT;
  for (let nth = 0; nth < calls; nth++) {
    ringing.push(ring(machines.target, { lines, fault: () => fault }));
    await sleep(systemClock, RING_EVERY_MS);
  }
  for (const [kind, strike] of strikes) {
    await sleep(systemClock, talkMs);
    fault = { ...kind, atMs: systemClock.now() };
    await kind.strike(machines, strike);
    await machines.whole();
  }
  return await Promise.all(ringing);
}
