/** Calls come up, faults strike, and the calls run to their ends. */

import { sleep, systemClock } from "@/lib/clock.ts";
import type { Machine, Machines } from "@/tests/load/machines.ts";
import { type Fallen, type Fault, NO_FAULT, ring, type Script } from "./calls.ts";
import type { KindOfFault, StrikeOptions } from "./kinds.ts";
import type { Watch } from "./watch.ts";

export interface RoundOptions {
  readonly calls: number;
  /** Of each caller. */
  readonly script: Script;
  /** One after the other; before the next one all machines run again. */
  readonly strikes: readonly Strike[];
  /** From the last ring to the first fault, and from one to the next: callers and agents are in the middle of it. */
  readonly talkMs: number;
  /** Who is told when a fault begins and ends. */
  readonly watch?: Pick<Watch, "began" | "ended">;
}

export interface Strike extends Omit<StrikeOptions, "victim"> {
  readonly kind: KindOfFault;
  /** `busiest`: the machine that holds most of the calls by then. */
  readonly victim: number | "busiest";
}

/** Between two rings. */
const RING_EVERY_MS = 60;
/** While a fault lasts, of kinds that are to hold nobody off. */
const RING_ON_EVERY_MS = 1_000;
/** Calls that have lost a stream have another by then, or never. */
const TALKING_MS = 20_000;
/** The end of a call is on record by then. */
const RECORDED_MS = 1_000;
const LOOK_EVERY_MS = 50;

/** Resolves when the last call has ended, and all machines run. */
export async function round(machines: Machines, options: RoundOptions): Promise<Fallen[]> {
  const { calls, script, strikes, talkMs, watch } = options;
  const ringing: Promise<Fallen>[] = [];
  let fault: Fault = NO_FAULT;
  for (let nth = 0; nth < calls; nth++) {
    ringing.push(ring(machines.target, { ...script, fault: () => fault }));
    await sleep(systemClock, RING_EVERY_MS);
  }
  for (const { kind, victim: chosen, ...strike } of strikes) {
    await sleep(systemClock, talkMs);
    await talking(machines);
    const victim = chosen === "busiest" ? busiest(machines) : chosen;
    fault = { ...kind, atMs: systemClock.now() };
    watch?.began(kind.silentFrom === "fault" ? victim : null);
    const over = new AbortController();
    const struck = kind.strike(machines, { ...strike, victim }).finally(() => over.abort());
    for (let more = 0; kind.ringsOn && more < calls && !over.signal.aborted; more++) {
      ringing.push(ring(machines.target, { ...script, fault: () => fault }));
      await sleep(systemClock, RING_ON_EVERY_MS, over.signal).catch(() => {}); // it is over
    }
    await struck;
    watch?.ended();
    await machines.whole();
  }
  return await Promise.all(ringing);
}

/**
 * Resolves when every call has a stream, or has been over for a moment: no carrier waits for the answer of a
 * machine that dies, and none dies between a hang-up and its record.
 */
async function talking({ target: { twilio } }: Machines): Promise<void> {
  const until = systemClock.now() + TALKING_MS;
  while (systemClock.now() < until) {
    const restless = (twilio?.calls ?? []).some(({ stream, log }) => {
      const ended = log.find(({ type }) => type === "ended");
      return ended === undefined ? stream === null : ended.atMs > systemClock.now() - RECORDED_MS;
    });
    if (!restless) return;
    await sleep(systemClock, LOOK_EVERY_MS);
  }
}

/** By the media paths, which name the machine that the stream is for. */
function busiest({ machines, target: { twilio } }: Machines): number {
  const paths = (twilio?.calls ?? []).filter(({ stream }) => stream !== null).map(({ log }) => {
    const opened = log.flatMap((entry) => entry.type === "streamOpened" ? [entry.url] : []);
    return new URL(opened.at(-1) ?? "").pathname;
  });
  const held = ({ nodeId }: Machine): number =>
    paths.filter((path) => path.startsWith(`/media/${nodeId}/`)).length;
  const [first] = machines.toSorted((a, b) => held(b) - held(a));
  if (first === undefined || held(first) === 0) throw new Error("No machine holds a call");
  return first.number;
}
