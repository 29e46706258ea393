/**
 * Many times more callers than lines: `overload [--times 10] [--seconds 60] [--capacity 20]`. First as many callers as
 * there are lines, each phoning again when its call is over; then calls arrive so many times faster, whether any is taken or not.
 */

import { parseArgs } from "node:util";
import { LAG_BUCKETS_MS, LagWatch } from "@/actors/runtime/lag.ts";
import { type Cancel, sleep, systemClock } from "@/lib/clock.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { pinSelf } from "@/tests/bench/calls/processes.ts";
import { prng } from "@/tests/support/actor_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { callIdOf, dial } from "./dial.ts";
import { figuresOf, type Phase, reasonsOf, type Rung, type Sample } from "./overload_figures.ts";
import { CALL_MAX_MS } from "./phone.ts";
import { type ServerProcess, serverProcess } from "./server_process.ts";
import { follow } from "./transcript.ts";

const SERVER_CPU = 0;
const LOAD_CPU = 1;
const SEED = 5;
const CAPACITY_MAX = 300;
const TIMES_MAX = 1_000;
const SECONDS_MAX = 86_400;
/** Calls before the first phase: what is loaded and compiled once is no part of it. */
const WARM_UPS = 2;
/** The first phase: so many lengths of a call, after one in which the lines fill evenly. */
const PHASE_CALLS = 2;
/** A caller who was refused while lines were being given back. */
const REDIAL_MS = 250;
const LOOK_MS = 1_000;
/** Collecting garbage halts the server for about a tenth of a second: of a hundred callers less than one notices. */
const HELD_EVERY_MS = 30_000;
/** The end of a call is on record by then. */
const RECORD_LOOK_MS = 500;

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      times: { type: "string", default: "10" },
      seconds: { type: "string", default: "60" },
      capacity: { type: "string", default: "20" },
    },
  });
  const times = whole("--times", values.times, TIMES_MAX);
  const capacity = whole("--capacity", values.capacity, CAPACITY_MAX);
  const forMs = whole("--seconds", values.seconds, SECONDS_MAX) * 1_000;
  await pinSelf(LOAD_CPU);
  const server = await serverProcess({ MAX_CALLS: String(capacity) }, SERVER_CPU);
  try {
    return { capacity, times, ...await measure(server, { capacity, times, forMs }) };
  } finally {
    await server.close();
  }
}

async function measure(
  server: ServerProcess,
  { capacity, times, forMs }: {
    readonly capacity: number;
    readonly times: number;
    readonly forMs: number;
  },
): Promise<Record<string, unknown>> {
  const warm = await Promise.all(Array.from({ length: WARM_UPS }, () => ring(server)));
  const [first] = warm.filter((one) => one.type === "admitted" && one.isGood);
  if (first?.type !== "admitted") throw new Error(`Not even a few succeed: ${reasonsOf(warm)}`);
  const callMs = first.endedAtMs - first.rungAtMs;

  const watch = watching(server);
  const rung: Promise<Rung>[] = [];
  const redialling = new AbortController();
  const callers = Array.from({ length: capacity }, async (_, nth) => {
    await sleep(systemClock, nth / capacity * callMs);
    while (!redialling.signal.aborted) {
      const one = ring(server);
      rung.push(one);
      if ((await one).type === "rejected") await sleep(systemClock, REDIAL_MS);
    }
  });
  await sleep(systemClock, callMs);
  const atCapacity: Phase = await phase(PHASE_CALLS * callMs);
  redialling.abort();

  const arriving = arrivals(server, { everyMs: callMs / capacity / times, forMs, rung });
  watch.reset();
  const [overloaded, heldMb] = await Promise.all([phase(forMs), heldOver(server, forMs)]);
  const { rssMb, ...seen } = watch.stop();
  await Promise.all([arriving, ...callers]);
  const all = await Promise.all(rung);
  return { ...figuresOf(all, { atCapacity, overloaded, rssMb, heldMb }), ...seen };
}

async function phase(ms: number): Promise<Phase> {
  const fromMs = systemClock.now();
  await sleep(systemClock, ms);
  return { fromMs, untilMs: systemClock.now() };
}

/** Every half minute, from the beginning to the end. */
async function heldOver(server: ServerProcess, forMs: number): Promise<Sample[]> {
  const untilMs = systemClock.now() + forMs;
  const samples: Sample[] = [];
  for (;;) {
    samples.push({ atMs: systemClock.now(), mb: await server.heldMb() });
    if (systemClock.now() + HELD_EVERY_MS > untilMs) return samples;
    await sleep(systemClock, HELD_EVERY_MS);
  }
}

/** Calls come when they come (a Poisson process): nobody waits for the one before. */
async function arrivals(
  server: ServerProcess,
  { everyMs, forMs, rung }: {
    readonly everyMs: number;
    readonly forMs: number;
    readonly rung: Promise<Rung>[];
  },
): Promise<void> {
  const random = prng(SEED);
  const fromMs = systemClock.now();
  let dueMs = fromMs;
  while (dueMs < fromMs + forMs) {
    await sleep(systemClock, Math.max(0, dueMs - systemClock.now()));
    rung.push(ring(server));
    dueMs -= Math.log(1 - random()) * everyMs;
  }
}

/** Phones, and plays the demo to its end when the call is taken. */
async function ring(server: ServerProcess): Promise<Rung> {
  const rungAtMs = systemClock.now();
  try {
    const phoned = await dial(server);
    const { stream, log } = phoned;
    const asked = log.find((entry) => entry.type === "asked");
    const tookMs = asked?.type === "asked" ? asked.tookMs : 0;
    if (stream === null) {
      const { reason } = await phoned.ended;
      if (log.some((entry) => entry.type === "rejected")) {
        return { type: "rejected", rungAtMs, tookMs };
      }
      const said = log.flatMap((entry) => entry.type === "said" ? [entry.sentence] : []);
      return { type: "failed", rungAtMs, reason: [...said, reason].join(" ") };
    }
    const hangUp = (): void => phoned.hangUp();
    const caller = newCaller({ clock: systemClock, stream, lines: demoCaller, hangUp });
    const cancel = systemClock.timer(CALL_MAX_MS, hangUp);
    const ending = await phoned.ended.finally(() => {
      cancel();
      caller.stop();
    });
    const endedAtMs = systemClock.now();
    const { events, reason, outcome } = await follow({
      ...{
        url: server.url,
        apiKey: server.apiKey,
        callId: callIdOf(phoned) ?? "",
        clock: systemClock,
      },
      lookEveryMs: RECORD_LOOK_MS,
      told() {},
    });
    const gapsMs = events.flatMap((event) =>
      event.type === "agent_said" && event.gapMs !== null ? [event.gapMs] : []
    );
    const isGood = ending.by === "agent" && reason === "agent_hung_up";
    const why = isGood ? "" : `${ending.by}: ${ending.reason}; ${outcome}: ${reason}`;
    return { type: "admitted", rungAtMs, endedAtMs, tookMs, gapsMs, isGood, why };
  } catch (error) {
    return { type: "failed", rungAtMs, reason: messageOf(error) };
  }
}

/** The server's memory and pressure each second, and how late this very process is. */
function watching(server: ServerProcess) {
  const headers = { Authorization: `Bearer ${server.operatorToken}` };
  const rssMb: { readonly atMs: number; readonly mb: number }[] = [];
  let levelMax = 0;
  let lag = new LagWatch(systemClock);
  let cancel: Cancel = () => {};
  async function look(): Promise<void> {
    cancel = systemClock.timer(LOOK_MS, () => void look());
    rssMb.push({ atMs: systemClock.now(), mb: server.rssMb() });
    try {
      const response = await fetch(`${server.operatorUrl}/pressure`, { headers });
      const { level } = await response.json() as { level: number }; // as the gauge made it
      levelMax = Math.max(levelMax, level);
    } catch {
      levelMax = 5; // too busy to say so
    }
  }
  void look();
  return {
    reset() {
      rssMb.length = 0;
      lag.stop();
      lag = new LagWatch(systemClock);
    },
    stop() {
      cancel();
      lag.stop();
      return { rssMb, levelMax, loadLagP99Ms: percentileOf(lag), loadLagMaxMs: lag.read().maxMs };
    },
  };
}

function percentileOf(lag: LagWatch): number {
  const { counts } = lag.read();
  let left = counts.reduce((sum, count) => sum + count, 0) * 0.99;
  const index = counts.findIndex((count) => (left -= count) <= 0);
  return LAG_BUCKETS_MS[index] ?? Infinity;
}

function whole(field: string, given: string, max: number): number {
  const value = Number(given);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new AppError("invalid", `${field} takes 1 to ${max}`, { field });
}
