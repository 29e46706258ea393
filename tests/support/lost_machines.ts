/** A whole call at virtual time whose machines are lost at instants that a test chooses; the next one goes on. */

import assert from "node:assert/strict";
import type { EndedCall } from "@/actors/call/call.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import { actorKit } from "./actor_kit.ts";
import { type CallKit, callKit, type CallKitOptions } from "./call_kit.ts";
import { type Caller, newCaller } from "./caller.ts";
import { historyOf } from "./event_log.ts";
import { manualClock } from "./manual_clock.ts";
import { type PlayedWord, playedWords } from "./heard.ts";
import type { MediaStream } from "./twilio_media.ts";

/** When a machine is lost: as the call makes its nth event, or at a time. What is younger than `lagMs` is not on disk. */
export interface Loss {
  readonly atEvent?: number;
  readonly atMs?: number;
  readonly lagMs: number;
}

export interface LostCall {
  readonly events: readonly CallEvent[];
  readonly times: readonly Date[];
  /** What was on disk as each machine was lost. */
  readonly kept: readonly number[];
  /** When that was. */
  readonly lostAtMs: readonly number[];
  /** All that was ever recorded by a machine that lived, on disk or not. */
  readonly recorded: readonly { readonly event: CallEvent; readonly atMs: number }[];
  readonly ends: readonly EndedCall[];
  readonly streams: readonly MediaStream[];
  readonly hangUps: number;
  readonly heard: readonly PlayedWord[];
  readonly endedAtMs: number;
}

const STEP_MS = 20;
/** The carrier notices, asks, and opens another stream. */
const RESUME_MS = 500;
const PATIENCE_MS = 5_000;
const CALL_MAX_MS = 300_000;

export interface LostCallOptions {
  readonly lines: readonly string[];
  readonly losses: readonly Loss[];
  readonly graph?: Graph;
  readonly seed?: number;
  readonly bargeInAtMs?: number;
  /** A caller with nothing to say hangs up after so long. */
  readonly patienceMs?: number;
  readonly kit?: Omit<CallKitOptions, "kit" | "after" | "deps">;
}

/** Runs it to its end. */
export async function loseMachines(options: LostCallOptions): Promise<LostCall> {
  const clock = manualClock();
  const events: CallEvent[] = [];
  const times: Date[] = [];
  const recorded: { event: CallEvent; atMs: number }[] = [];
  const kept: number[] = [];
  const lostAtMs: number[] = [];
  const ends: EndedCall[] = [];
  const machines: CallKit[] = [];
  let hangUps = 0;
  let waiting = [...options.lines];

  /** One that has `loss` before it, or runs to the end. */
  function machine(nth: number, isLost: () => boolean, lose: () => void): CallKit {
    const loss = options.losses[nth];
    const it: CallKit = callKit({
      ...options.kit,
      ...(options.graph === undefined ? {} : { graph: options.graph }),
      kit: actorKit({ clock, ...(options.seed === undefined ? {} : { seed: options.seed }) }),
      ...(nth === 0 ? {} : { after: "machineLost" as const }),
      deps: {
        record(seq, event, at) {
          if (isLost()) return;
          assert.equal(seq, events.length + 1, "numbered on from what is on disk");
          events.push(event);
          times.push(at);
          recorded.push({ event, atMs: clock.now() });
          if (seq === loss?.atEvent) lose();
        },
        history: () => Promise.resolve(historyOf(events, times)),
        saveEnd(ended) {
          if (!isLost()) ends.push(ended);
          return Promise.resolve();
        },
        carrier: {
          provider: "test",
          placeCall: () => Promise.reject(new Error("No call is placed")),
          hangUp() {
            if (isLost()) return Promise.resolve();
            hangUps++;
            for (const stream of it.streams) stream.stop();
            return Promise.resolve();
          },
        },
      },
    });
    machines.push(it);
    return it;
  }

  /** Lives through one machine. True: the call has ended. */
  async function live(nth: number): Promise<boolean> {
    const loss = options.losses[nth];
    let isLost = false;
    const it = machine(nth, () => isLost, () => isLost = true);
    const state: { stream: MediaStream | null; caller: Caller | null } = {
      stream: null,
      caller: null,
    };
    if (nth > 0) await clock.advance(RESUME_MS);
    await connect();
    while (it.stops.length === 0 && !isLost) {
      assert.ok(clock.now() < CALL_MAX_MS, "the call never ends");
      await clock.advance(STEP_MS);
      if (loss?.atMs !== undefined && clock.now() >= loss.atMs) isLost = true;
      if (!isLost && it.stops.length === 0 && state.stream?.isOpen() === false) await connect();
    }
    state.caller?.stop();
    if (!isLost) {
      await it.close();
      return true;
    }
    const keptFrom = clock.date().getTime() - (loss?.lagMs ?? 0);
    while (events.length > 0 && +(times.at(-1) ?? 0) > keptFrom) {
      events.pop();
      times.pop();
    }
    kept.push(events.length);
    lostAtMs.push(clock.now());
    const last = state.caller?.lines.at(-1);
    if (last !== undefined && !isKnown(last.startedAtMs)) waiting = [last.text, ...waiting];
    await it.close();
    return false;

    async function connect(): Promise<void> {
      state.caller?.stop();
      const answer = await (it.streams.length === 0 && nth === 0 ? it.answer() : it.resume());
      if (answer.type !== "connect") return;
      const stream = await it.open(answer);
      state.stream = stream;
      state.caller = newCaller({
        clock,
        stream,
        lines: waiting,
        said: () => void waiting.shift(),
        hangUp: () => stream.stop(),
        patienceMs: options.patienceMs ?? PATIENCE_MS,
        ...(nth === 0 && options.bargeInAtMs !== undefined
          ? { bargeInAtMs: options.bargeInAtMs }
          : {}),
      });
    }
  }

  /** The final words of what the caller began to say then are on disk: they need not say it again. */
  function isKnown(startedAtMs: number): boolean {
    const from = clock.date().getTime() - clock.now() + startedAtMs;
    return events.some(({ type }, at) => type === "caller_heard" && +(times[at] ?? 0) >= from);
  }

  for (let nth = 0; !await live(nth); nth++);
  const streams = machines.flatMap((it) => it.streams);
  return {
    ...{ events, times, kept, lostAtMs, recorded, ends, streams, hangUps },
    heard: streams.flatMap(playedWords),
    endedAtMs: clock.now(),
  };
}
