/** The loads of the runtime benchmark. Handlers only count: what is measured is the runtime. */

import { sleep, systemClock } from "@/lib/clock.ts";
import type { Contender, Counted } from "./contender.ts";

export const KEYS = [
  "tell1PerSec",
  "tell1000PerSec",
  "askP50Us",
  "askP99Us",
  "timerLateMs",
  "idleActorBytes",
] as const;

export type Figures = Record<typeof KEYS[number], number>;

const BURST = 1_000;
const FLOOD_MS = 1_000;
const TIMER_MS = 10;

/** Counts messages and says when there were as many as expected. */
let seen = 0;
let expected = Infinity;
let reached: () => void = () => {};

function count({ n, reply }: Counted): void {
  if (++seen === expected) reached();
  reply?.(n + 1);
}

function seeing(messages: number): Promise<void> {
  seen = 0;
  expected = messages;
  return new Promise((resolve) => reached = resolve);
}

export async function measure<H>(contender: Contender<H>): Promise<Figures> {
  const tell1PerSec = await tell(contender, 1, 300 * contender.scale);
  const tell1000PerSec = await tell(contender, 1_000, 300 * contender.scale);
  const [askP50Us, askP99Us] = await ask(contender, 100_000 * contender.scale);
  const timerLateMs = await lateness(contender);
  const idleActorBytes = await idleBytes(contender); // last: its actors stay
  return { tell1PerSec, tell1000PerSec, askP50Us, askP99Us, timerLateMs, idleActorBytes };
}

/** Messages a second in bursts, each awaited: 1,000 to one actor, or 10 to each of 1,000. */
async function tell<H>(contender: Contender<H>, actors: number, bursts: number): Promise<number> {
  const targets = Array.from({ length: actors }, () => contender.spawn(count));
  const each = actors === 1 ? BURST : 10;
  async function round(): Promise<number> {
    const start = systemClock.now();
    for (let burst = 0; burst < bursts; burst++) {
      const done = seeing(actors * each);
      for (let n = 0; n < each; n++) for (const target of targets) contender.tell(target, n);
      await done;
    }
    return bursts * actors * each / ((systemClock.now() - start) / 1000);
  }
  await round();
  const rates: number[] = [];
  for (let i = 0; i < 5; i++) rates.push(await round());
  return median(rates);
}

/** Median and 99th percentile in microseconds, one ask at a time. */
async function ask<H>(contender: Contender<H>, asks: number): Promise<[number, number]> {
  const actor = contender.spawn(count);
  for (let n = 0; n < asks / 2; n++) await contender.ask(actor, n);
  const times = new Float64Array(asks);
  for (let n = 0; n < asks; n++) {
    const start = systemClock.now();
    await contender.ask(actor, n);
    times[n] = (systemClock.now() - start) * 1000;
  }
  times.sort();
  return [times[Math.floor(asks * 0.5)] ?? NaN, times[Math.floor(asks * 0.99)] ?? NaN];
}

/** How late a 10 ms timer gets at worst while two actors keep each other busy for a second. */
async function lateness<H>(contender: Contender<H>): Promise<number> {
  const end = systemClock.now() + FLOOD_MS;
  const { promise: over, resolve } = Promise.withResolvers<void>();
  let hops = 0;
  const bounce = (other: () => H) => (): void => {
    if ((++hops & 255) === 0 && systemClock.now() >= end) resolve();
    else contender.tell(other(), hops);
  };
  const ping: H = contender.spawn(bounce(() => pong));
  const pong: H = contender.spawn(bounce(() => ping));
  let worst = 0;
  let isOver = false;
  async function watch(): Promise<void> {
    while (!isOver) {
      const due = systemClock.now() + TIMER_MS;
      await sleep(systemClock, TIMER_MS);
      worst = Math.max(worst, systemClock.now() - due);
    }
  }
  const watching = watch();
  contender.tell(ping, 0);
  await over;
  isOver = true;
  await watching;
  return worst;
}

/** Heap held by an actor at rest that has handled one message. */
async function idleBytes<H>(contender: Contender<H>): Promise<number> {
  const actors = 100_000 * Math.max(0.1, contender.scale);
  await collectGarbage();
  const before = Deno.memoryUsage().heapUsed;
  const kept = Array.from({ length: actors }, () => contender.spawn(count));
  const done = seeing(actors);
  for (const actor of kept) contender.tell(actor, 1);
  await done;
  await collectGarbage();
  const bytes = (Deno.memoryUsage().heapUsed - before) / actors;
  contender.tell(kept[0] ?? contender.spawn(count), 1); // kept alive until here
  return bytes;
}

async function collectGarbage(): Promise<void> {
  const { gc } = globalThis as { gc?: () => void }; // there under --v8-flags=--expose-gc only
  if (gc === undefined) throw new Error("Start with --v8-flags=--expose-gc");
  for (let i = 0; i < 3; i++) {
    await sleep(systemClock, 1);
    gc();
  }
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
