/** How a machine drains: it takes nothing new, and its calls end, or are handed over, by a deadline. */

import type { DrainOrder } from "@/db/cluster.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";

/** What calls are told: see `actors/call/life/leaving.ts`. */
export type Leaving = "never" | "betweenTurns" | "now";

/** Calls that were waited for in vain have so long to come to the end of a turn. */
export const TURN_MS = 30_000;
/** Calls end by themselves: no agent's limit is longer. */
const WAITING: DrainOrder = { calls: "wait", deadlineMs: 4 * 3_600_000 };
/** From one look at what is left to the next. */
const LOOK_MS = 250;

/** What calls are to do, so long after the order. They are handed over to others, where there are any. */
export function leavingAt(
  { calls, deadlineMs }: DrainOrder,
  { elapsedMs, hasOthers }: { readonly elapsedMs: number; readonly hasOthers: boolean },
): Leaving {
  if (!hasOthers) return "never";
  const turnsFromMs = calls === "handOver" ? 0 : deadlineMs;
  const nowFromMs = calls === "handOver" ? deadlineMs : deadlineMs + TURN_MS;
  if (elapsedMs >= nowFromMs) return "now";
  return elapsedMs >= turnsFromMs ? "betweenTurns" : "never";
}

export interface DrainDeps {
  /** The machine is to take nothing new, and to give up what others can have at once. Called once. */
  begin(): void;
  /** Calls that live here. */
  callCount(): number;
  /** Whether another machine takes calls. */
  hasOthers(): boolean;
  leave(when: Leaving): void;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Drain {
  /** Told again, the newest order holds, from its own beginning. */
  start(order: DrainOrder): void;
  /** By its row, at every look; null: it drains, and nobody has said how. */
  told(order: DrainOrder | null): void;
  readonly isOn: boolean;
  /** Of the newest order. */
  readonly order: DrainOrder | null;
  /** Resolves when no call lives, or `withinMs` have passed. */
  emptied(withinMs: number): Promise<void>;
  /** Looks no more. */
  stop(): void;
}

export function newDrain(deps: DrainDeps): Drain {
  const { clock, log } = deps;
  const over = new AbortController();
  let order: DrainOrder | null = null;
  /** What stood in its row at the last look. */
  let row: DrainOrder | null = null;
  let startedMs = 0;

  async function watch(): Promise<void> {
    let told: Leaving = "never";
    while (order !== null && deps.callCount() > 0 && !over.signal.aborted) {
      const elapsedMs = clock.now() - startedMs;
      const when = leavingAt(order, { elapsedMs, hasOthers: deps.hasOthers() });
      // Told every time: one that was rebuilt since does not know it.
      if (when !== "never" || told !== "never") deps.leave(when);
      told = when;
      await sleep(clock, LOOK_MS, over.signal).catch(() => {}); // stopped
    }
  }

  function start(next: DrainOrder): void {
    const isFirst = order === null;
    order = next;
    startedMs = clock.now();
    log.info("draining", { ...next, callCount: deps.callCount() });
    if (!isFirst) return;
    deps.begin();
    void watch();
  }

  return {
    get isOn() {
      return order !== null;
    },
    get order() {
      return order;
    },
    start,
    told(next) {
      const isNew = next !== null && JSON.stringify(next) !== JSON.stringify(row);
      row = next;
      if (isNew || order === null) start(next ?? WAITING);
    },
    async emptied(withinMs) {
      const untilMs = clock.now() + withinMs;
      while (deps.callCount() > 0 && clock.now() < untilMs) await sleep(clock, LOOK_MS);
    },
    stop: () => over.abort(),
  };
}
