/** Long calls at virtual time: callers talk, interrupt, hum, press keys, fall silent and lose their line; what must always hold is counted. */

import type { CallAnswer } from "@/actors/desk/desk.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { BYTES_PER_MS, FRAME_MS } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { silentLog } from "@/lib/log.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { type ActorKit, prng } from "./actor_kit.ts";
import { type CallKit, callKit } from "./call_kit.ts";
import { type ClearFlight, compareHeard, playedWords } from "./heard.ts";
import { manualClock } from "./manual_clock.ts";
import type { MediaStream } from "./twilio_media.ts";

export interface SoakOptions {
  readonly calls: number;
  readonly minutes: number;
  readonly seed: number;
}

export interface SoakResult {
  readonly calls: number;
  /** Times that a caller spoke. */
  readonly turns: number;
  readonly resumes: number;
  /** Words of transcripts that nobody heard; words heard that they have not, and those of them not on their way at a `clear`. */
  readonly extraWords: number;
  readonly missingWords: number;
  readonly missingUnexcused: number;
  /** Frames that came on a line behind its end. */
  readonly framesAfterEnd: number;
  /** From the end of what a caller said to the first sound of the agent, where the agent owed an answer. */
  readonly deadAirMaxMs: number;
  /** Answers that took longer than DEAD_AIR_MS. */
  readonly deadAir: number;
  /** Calls that did not end once, with all their events in order. */
  readonly notEndedOnce: number;
  /** What was left when all had ended. */
  readonly actorsLeft: number;
  readonly timersLeft: number;
}

/** Nobody waits longer for an answer (the bound). */
export const DEAD_AIR_MS = 4_000;
/** One clock for so many calls: what callers have heard is kept until they are compared. */
const CALLS_AT_ONCE = 10;
const STEP_MS = 100;
const LINES = [
  "I would like an appointment.",
  "Could you say that again, please?",
  "What about Tuesday at three?",
  "No, I meant the other one.",
  "My name is Ada.",
  "And where do I park?",
];
const HUMS = ["Mm-hm.", "Yeah.", "Okay."];
const SPEECHES = [
  "The clinic is open from Monday to Friday, nine to five. On Saturdays, until one. Is a day better?",
  "A 9 or a 10, or at 3:30? I could do either. Unfortunately Wednesday afternoon is fully booked.",
  "Certainly. There is a garage right behind the house, and the first hour is free.",
  "Yes. Then let me repeat that: Tuesday, at three in the afternoon.",
];

/** Calls of so many minutes each, ten at a time. */
export async function runSoak({ calls, minutes, seed }: SoakOptions): Promise<SoakResult> {
  let total: SoakResult | null = null;
  for (let from = 0; from < calls; from += CALLS_AT_ONCE) {
    const batch = await runBatch({
      ...{ calls: Math.min(CALLS_AT_ONCE, calls - from), minutes },
      seed: seed + from,
    });
    total = total === null ? batch : add(total, batch);
  }
  if (total === null) throw new RangeError("A soak has one call at least");
  return total;
}

async function runBatch({ calls, minutes, seed }: SoakOptions): Promise<SoakResult> {
  const clock = manualClock();
  const system = newSystem({ clock, log: silentLog, yieldTo: clock.yieldTo });
  const untraced = { trace: [], traceHash: () => "", logged: [] };
  const kit: ActorKit = { clock, system, ...untraced, settle: clock.settle };
  const callers = Array.from({ length: calls }, (_, nth) => newSoaker(kit, nth, seed + nth));
  for (const caller of callers) await caller.phone();
  const endsAt = minutes * 60_000;
  while (clock.now() < endsAt) {
    await clock.advance(STEP_MS);
    for (const caller of callers) await caller.step();
  }
  for (const caller of callers) caller.hangUp();
  await clock.advance(10_000);
  const results = callers.map((caller) => caller.result());
  const actorsLeft = system.list().length;
  await callers[0]?.call.close();
  await clock.advance(1_000);
  const sum = results.reduce(add);
  return { ...sum, actorsLeft, timersLeft: clock.armed };
}

interface Soaker {
  readonly call: CallKit;
  phone(): Promise<void>;
  step(): Promise<void>;
  hangUp(): void;
  result(): SoakResult;
}

function newSoaker(kit: ActorKit, nth: number, seed: number): Soaker {
  const { clock } = kit;
  const random = prng(seed);
  const oneOf = (lines: readonly string[]): string =>
    lines[Math.floor(random() * lines.length)] ?? "";
  const delayMs = { toCarrier: 60 * random(), toServer: 60 * random() };
  const call = callKit({
    ...{ kit, nth, seed, delayMs },
    graph: parseGraph({
      ...demoAgent,
      limits: { maxDurationMs: 4 * 3_600_000, idleMs: 20_000, idlePromptCount: 10 },
    }),
    script: (_prompt, n) => ({ text: SPEECHES[(n + nth) % SPEECHES.length] ?? "" }),
  });
  let stream: MediaStream | null = null;
  let nextAt = 0;
  let speaksUntil = 0;
  let owedSince: number | null = null;
  let turns = 0;
  let resumes = 0;
  let deadAirMaxMs = 0;
  let deadAir = 0;
  /** Marks that were on their way back when a line broke. */
  const lost: ClearFlight[] = [];

  async function follow(answered: Promise<CallAnswer>): Promise<void> {
    const answer = await answered;
    stream = answer.type === "connect" ? await call.open(answer) : null;
  }

  function say(text: string, isOwed: boolean): void {
    const { audio } = speak(text);
    void stream?.say(audio);
    speaksUntil = clock.now() + audio.length / BYTES_PER_MS;
    turns++;
    owedSince = isOwed ? speaksUntil : null;
  }

  /** The agent's first sound behind what was said settles what it owes. */
  function settle(now: number, isPlaying: boolean): void {
    if (owedSince === null || now < owedSince) return;
    if (isPlaying) {
      deadAirMaxMs = Math.max(deadAirMaxMs, now - owedSince);
      owedSince = null;
      return;
    }
    if (now - owedSince <= DEAD_AIR_MS) return;
    deadAir++;
    deadAirMaxMs = Math.max(deadAirMaxMs, now - owedSince);
    owedSince = null;
  }

  return {
    call,
    async phone() {
      await follow(call.answer());
    },
    async step() {
      const now = clock.now();
      if (stream?.isOpen() !== true) {
        if (call.stops.length > 0) return;
        resumes++;
        owedSince = null; // it says again where it was
        await follow(call.resume());
        return;
      }
      const isPlaying = stream.player.endsAtMs() > now;
      settle(now, isPlaying);
      if (random() < 0.0002) {
        lost.push({ sentAtMs: now - delayMs.toServer - FRAME_MS, actedAtMs: now });
        return stream.drop();
      }
      if (random() < 0.0005) return stream.press(String(Math.floor(random() * 10)));
      if (now < speaksUntil || now < nextAt) return;
      if (isPlaying) {
        const whim = random();
        if (whim < 0.01) say(oneOf(HUMS), false);
        else if (whim < 0.02) say(oneOf(LINES), true);
        return;
      }
      nextAt = now + 500 + (random() < 0.05 ? 30_000 : 3_000) * random(); // now and then the agent has to ask
      if (random() < 0.5) say(oneOf(LINES), true);
    },
    hangUp() {
      stream?.stop();
    },
    result() {
      const said = call.events.filter((event) => event.type === "agent_said");
      const played = call.streams.flatMap(playedWords);
      const flights = call.streams.flatMap(({ log }) =>
        log.flatMap((it) =>
          it.type === "clear" ? [{ sentAtMs: it.atMs - delayMs.toCarrier, actedAtMs: it.atMs }] : []
        )
      );
      const { extra, missing, missingInFlight } = compareHeard(said, played, [...flights, ...lost]);
      const isOver = call.stops.length === 1 && call.ends.length === 1 &&
        call.events.at(-1)?.type === "call_ended" &&
        Object.keys(call.events).length === call.events.length;
      return {
        ...{ calls: 1, turns, resumes, deadAir, deadAirMaxMs },
        extraWords: extra.length,
        missingWords: missing.length,
        missingUnexcused: missing.length - missingInFlight.length,
        framesAfterEnd: call.streams.reduce((sum, it) => sum + framesAfterEnd(it), 0),
        notEndedOnce: isOver ? 0 : 1,
        ...{ actorsLeft: 0, timersLeft: 0 },
      };
    },
  };
}

function framesAfterEnd({ log }: MediaStream): number {
  const closed = log.findIndex(({ type }) => type === "closed");
  return closed === -1 ? 0 : log.slice(closed).filter(({ type }) => type === "audio").length;
}

function add(a: SoakResult, b: SoakResult): SoakResult {
  return {
    calls: a.calls + b.calls,
    turns: a.turns + b.turns,
    resumes: a.resumes + b.resumes,
    extraWords: a.extraWords + b.extraWords,
    missingWords: a.missingWords + b.missingWords,
    missingUnexcused: a.missingUnexcused + b.missingUnexcused,
    framesAfterEnd: a.framesAfterEnd + b.framesAfterEnd,
    deadAirMaxMs: Math.max(a.deadAirMaxMs, b.deadAirMaxMs),
    deadAir: a.deadAir + b.deadAir,
    notEndedOnce: a.notEndedOnce + b.notEndedOnce,
    actorsLeft: a.actorsLeft + b.actorsLeft,
    timersLeft: a.timersLeft + b.timersLeft,
  };
}
