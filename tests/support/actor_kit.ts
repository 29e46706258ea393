/** An actor system on a manual clock, whose scheduler picks the next actor by a seed: the same seed, the same history. */

import { newSystem, type System } from "@/actors/runtime/system.ts";
import { type Log, newLog } from "@/lib/log.ts";
import { type ManualClock, manualClock } from "./manual_clock.ts";

export interface ActorKit {
  readonly clock: ManualClock;
  readonly system: System;
  /** Every handled message in order: `call/call_1 start`. */
  readonly trace: readonly string[];
  /** FNV-1a of the trace: two runs with one hash went the same way. */
  traceHash(): string;
  /** What the actors have logged, one JSON line each. */
  readonly logged: readonly string[];
  /** Runs all that needs no time to pass. */
  settle(): Promise<void>;
}

export interface ActorKitOptions {
  /** Of several machines; a new one when absent. */
  readonly clock?: ManualClock;
  /** First come, first served when absent. */
  readonly seed?: number;
  /** Passes log lines on. */
  readonly log?: Log;
}

export function actorKit(options: ActorKitOptions | number = {}): ActorKit {
  const { seed, log, clock = manualClock() } = typeof options === "number"
    ? { seed: options }
    : options;
  const random = prng(seed ?? 1);
  const trace: string[] = [];
  const logged: string[] = [];
  const system = newSystem({
    clock,
    random: prng((seed ?? 1) + 1),
    log: log ?? newLog({
      level: "debug",
      pii: false,
      date: clock.date,
      write: (line) => logged.push(line),
    }),
    yieldTo: clock.yieldTo,
    trace: (kind, id, type) => trace.push(`${kind}/${id} ${type}`),
    ...(seed === undefined ? {} : { pick: (count: number) => Math.floor(random() * count) }),
  });
  return {
    clock,
    system,
    trace,
    traceHash: () => fnv1a(trace.join("\n")),
    logged,
    settle: clock.settle,
  };
}

/** Uniform in [0, 1), from a 32-bit seed (mulberry32). */
export function prng(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

function fnv1a(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
