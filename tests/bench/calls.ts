/**
 * Many calls on one core: `calls [--calls 100] [--seconds 20] [--runs 5] [--beside FOLDER]`. Model and voice cost
 * nothing; sockets, codecs and database are real. FOLDER has the bench of another runtime: see `calls/peer.ts`.
 */

import { parseArgs } from "node:util";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { FRAME_MS } from "@/lib/audio/frame.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { startPostgres } from "@/tests/support/postgres_server.ts";
import { type BenchCall, openMedia, ring } from "@/tests/bench/calls/carrier.ts";
import { type Ears, startEars } from "@/tests/bench/calls/ears.ts";
import { type Cue, figuresOf, percentile } from "@/tests/bench/calls/figures.ts";
import { type Peer, runPeer } from "@/tests/bench/calls/peer.ts";
import { type Pinned, pinned, pinSelf } from "@/tests/bench/calls/processes.ts";

const SERVER_CPU = 0;
const LOAD_CPU = 1;
/** Carriers are not in step: each tick sends what has come due since the one before. */
const TICK_MS = 1;
/** A load that comes so late has measured itself. */
const LAG_MAX_MS = 5;
/** A turn: the caller speaks for a second, the agent answers for three, and somebody waits. */
const TURN_MS = 5_000;
const SPEAK_MS = 1_000;
/** Of the turns, those in which the caller barges in, a second into the answer. */
const BARGE_IN_EVERY = 4;
const BARGE_IN_MS = 1_000;
const RINGS_AT_ONCE = 8;
const RINGS_MAX = 5;
const SETTLE_MS = 2_000;

interface Run {
  readonly overheadP50Ms: number;
  readonly overheadP99Ms: number;
  readonly pacingP99Ms: number;
  readonly underruns: number;
  readonly cpuPercent: number;
  readonly relayCpuPercent: number;
  /** Of the relay, from the end of a turn to its answer: the sockets and the wait for the processor alone. */
  readonly relayP50Ms: number;
  readonly relayP99Ms: number;
  readonly rssMbPerCall: number;
  readonly bargeInP99Ms: number;
  readonly framesAfterClear: number;
  readonly loadLagP99Ms: number;
  readonly turns: number;
  readonly missedTurns: number;
}

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      calls: { type: "string", default: "100" },
      seconds: { type: "string", default: "20" },
      runs: { type: "string", default: "5" },
      beside: { type: "string" },
    },
  });
  const calls = Number(values.calls);
  if (!Number.isInteger(calls) || calls < 1 || calls > 2_000) {
    throw new AppError("invalid", "--calls takes 1 to 2000", { field: "--calls" });
  }
  await pinSelf(LOAD_CPU);
  const durationMs = Number(values.seconds) * 1_000;
  const runs: Run[] = [];
  const peers: Peer[] = [];
  for (let nth = 0; nth < Number(values.runs); nth++) {
    runs.push(await measure(calls, durationMs));
    if (values.beside === undefined) continue;
    peers.push(await runPeer(values.beside, { cpu: SERVER_CPU, calls, durationMs }));
  }
  const median = (name: keyof Run): number => percentile(runs.map((it) => it[name]), 0.5);
  const names = Object.keys(runs[0] ?? {}) as (keyof Run)[]; // of all its members
  const figures = Object.fromEntries(names.map((name) => [name, rounded(median(name))]));
  const isVoid = median("loadLagP99Ms") > LAG_MAX_MS;
  const beside = values.beside === undefined ? {} : besideOf(peers, median("overheadP50Ms"));
  return { calls, ...figures, ...beside, isVoid, runs: runs.length };
}

/** The peer's medians, and ours as a part of its. */
function besideOf(peers: readonly Peer[], oursMs: number): Record<string, number> {
  const median = (name: keyof Peer): number => percentile(peers.map((it) => it[name]), 0.5);
  return {
    peerP50Ms: median("peerP50Ms"),
    peerP99Ms: median("peerP99Ms"),
    peerCpuPercent: median("peerCpuPercent"),
    partOfPeerP50: rounded(oursMs / median("peerP50Ms")),
  };
}

/** Ours first, then the relay that takes as many calls, and speaks for as much of the time. */
async function measure(calls: number, durationMs: number): Promise<Run> {
  const postgres = await startPostgres();
  const ears = await startEars();
  const authToken = crypto.randomUUID();
  const server = await pinned(SERVER_CPU, "./server.ts", [
    ...[postgres.url, ears.url, authToken, String(calls + 10)],
  ]);
  try {
    /** A server that has just begun may be too slow to answer; the carrier rings once more. */
    const one = async (number: number, tries = 1): Promise<BenchCall> => {
      const { port, url } = server;
      try {
        return await ring({
          port,
          url,
          authToken,
          number: number + tries * 2_000,
          to: DEMO_NUMBER,
        });
      } catch (error) {
        if (tries === RINGS_MAX) throw error;
        await sleep(systemClock, tries * 1_000);
        return await one(number, tries + 1);
      }
    };
    const ours = await load(server, ears, one, { calls, durationMs });
    const relay = await pinned(SERVER_CPU, "./relay.ts", [ears.url, String(ours.speakingShare)]);
    try {
      const url = `ws://127.0.0.1:${relay.port}/`;
      const other = (number: number): Promise<BenchCall> =>
        openMedia(url, { callSid: `CA${number}`, number, token: "", signature: "" });
      const floor = await load(relay, ears, other, { calls, durationMs, isRelay: true });
      const { cpuPercent: relayCpuPercent, relayP50Ms, relayP99Ms } = floor.figures;
      return { ...ours.figures, relayCpuPercent, relayP50Ms, relayP99Ms };
    } finally {
      await relay.stop();
    }
  } finally {
    await server.stop();
    await ears.close();
    await postgres.stop();
  }
}

async function load(
  server: Pinned,
  ears: Ears,
  one: (number: number) => Promise<BenchCall>,
  { calls, durationMs, isRelay = false }: {
    readonly calls: number;
    readonly durationMs: number;
    readonly isRelay?: boolean;
  },
): Promise<{ readonly figures: Run; readonly speakingShare: number }> {
  const warm = await one(calls); // loads what is loaded once
  await sleep(systemClock, SETTLE_MS);
  warm.hangUp();
  await sleep(systemClock, SETTLE_MS);
  const idleMb = server.rssMb();

  const live: BenchCall[] = [];
  const cues: Cue[][] = [];
  const lags: number[] = [];
  let frames = 0;
  const startedAt = systemClock.now();
  let dueAt = startedAt;
  /** All calls' frames, spread over the 20 ms: carriers are not in step either. */
  function tick(): void {
    const now = systemClock.now();
    lags.push(Math.max(0, now - dueAt));
    dueAt = now + TICK_MS;
    const due = Math.floor((now - startedAt) / FRAME_MS * live.length);
    for (; frames < due; frames++) live[frames % live.length]?.frame();
    stopTicking = systemClock.timer(TICK_MS, tick);
  }
  let stopTicking = systemClock.timer(TICK_MS, tick);

  for (let from = 0; from < calls; from += RINGS_AT_ONCE) {
    const numbers = Array.from(
      { length: Math.min(RINGS_AT_ONCE, calls - from) },
      (_, nth) => from + nth,
    );
    const made = await Promise.all(numbers.map(one));
    frames = Math.floor(frames / Math.max(1, live.length)) * (live.length + made.length);
    live.push(...made);
    cues.push(...made.map(() => []));
  }
  await sleep(systemClock, SETTLE_MS);

  lags.length = 0;
  const from = systemClock.now();
  const cpu = server.cpuMs();
  const talking = live.map((call, number) =>
    converse({
      ...{ call, ears, number, cues: cues[number] ?? [], until: from + durationMs },
      answeredBy: isRelay ? "clear" : "media",
    })
  );
  await Promise.all(talking);
  const tookMs = systemClock.now() - from;
  const cpuPercent = (server.cpuMs() - cpu) / tookMs * 100;
  const rssMbPerCall = (server.rssMb() - idleMb) / calls;
  stopTicking();
  for (const call of live) call.hangUp();

  const all = live.map(({ arrivals }, nth) => figuresOf(since(arrivals, from), cues[nth] ?? []));
  const sum = (of: (figures: typeof all[number]) => number): number =>
    all.reduce((total, it) => total + of(it), 0);
  const answers = all.flatMap((it) => it.bargeInMs);
  const sent = live.reduce(
    (total, { arrivals }) => total + since(arrivals, from).mediaAt.length,
    0,
  );
  return {
    figures: {
      overheadP50Ms: percentile(all.flatMap((it) => it.overheadMs), 0.5),
      overheadP99Ms: percentile(all.flatMap((it) => it.overheadMs), 0.99),
      pacingP99Ms: percentile(all.flatMap((it) => it.latenessMs), 0.99),
      underruns: sum((it) => it.underruns),
      cpuPercent,
      relayCpuPercent: cpuPercent,
      relayP50Ms: percentile(answers, 0.5),
      relayP99Ms: percentile(answers, 0.99),
      rssMbPerCall,
      bargeInP99Ms: percentile(all.flatMap((it) => it.bargeInMs), 0.99),
      framesAfterClear: sum((it) => it.framesAfterClear),
      loadLagP99Ms: percentile(lags, 0.99),
      turns: cues.reduce((total, it) => total + it.length, 0),
      missedTurns: sum((it) => it.missedTurns),
    },
    speakingShare: sent * FRAME_MS / (tookMs * calls),
  };
}

function since(arrivals: BenchCall["arrivals"], from: number): BenchCall["arrivals"] {
  const first = arrivals.mediaAt.findIndex((at) => at >= from);
  const at = first === -1 ? arrivals.mediaAt.length : first;
  return {
    mediaAt: arrivals.mediaAt.slice(at),
    mediaBytes: arrivals.mediaBytes.slice(at),
    clearAt: arrivals.clearAt.filter((time) => time >= from),
  };
}

/** A caller's side of one call, turn by turn. */
async function converse(
  { call, ears, number, cues, until, answeredBy }: {
    readonly call: BenchCall;
    readonly ears: Ears;
    readonly number: number;
    readonly cues: Cue[];
    readonly until: number;
    readonly answeredBy: "media" | "clear";
  },
): Promise<void> {
  const endOfTurn = answeredBy === "clear" ? "bargeIn" : "endOfTurn";
  const wait = (ms: number): Promise<void> => sleep(systemClock, ms);
  await wait((number * 97) % TURN_MS); // not all at once
  for (let turn = 0; systemClock.now() + TURN_MS < until; turn++) {
    const ear = ears.of(number);
    const startedAt = systemClock.now();
    if (ear !== undefined) {
      ear.interim("I would");
      await wait(SPEAK_MS / 2);
      ear.interim("I would like an");
      await wait(SPEAK_MS / 2);
      cues.push({ type: endOfTurn, at: systemClock.now() });
      ear.final("I would like an appointment.");
      await wait(BARGE_IN_MS);
      const isCut = answeredBy === "media" && turn % BARGE_IN_EVERY === BARGE_IN_EVERY - 1;
      if (isCut && call.isPlaying) {
        cues.push({ type: "bargeIn", at: systemClock.now() });
        ear.interim("No, wait");
        await wait(SPEAK_MS / 2);
        cues.push({ type: "endOfTurn", at: systemClock.now() });
        ear.final("No, wait, the other one.");
      }
    }
    await wait(startedAt + TURN_MS - systemClock.now());
  }
  await wait(Math.max(0, until - systemClock.now()));
}

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;
