/** A whole call at virtual time whose machines are lost at instants that a test chooses; the next one goes on. */

import assert from "node:assert/strict";
import type { CallDeps, EndedCall } from "@/actors/call/call.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import { actorKit } from "./actor_kit.ts";
import { type CallKit, callKit, type CallKitOptions, CARRIER_CALL_ID } from "./call_kit.ts";
import { type Caller, newCaller } from "./caller.ts";
import { historyOf } from "./event_log.ts";
import { type ManualClock, manualClock } from "./manual_clock.ts";
import { type PlayedWord, playedWords } from "./heard.ts";
import type { MediaStream } from "./twilio_media.ts";

/** When a machine is lost: as the call makes its nth event, or at a time. What is younger than `lagMs` is not on disk. */
export interface Loss {
  readonly atEvent?: number;
  readonly atMs?: number;
  readonly lagMs: number;
  /** It does not know that it is lost, as one that stood still: it acts and writes on. */
  readonly goesOn?: true;
}

/** What machines write a call to, and read it from. */
export interface Disk {
  machine(nth: number): Promise<MachineDisk>;
  advance(ms: number): Promise<void>;
  /** As it stands now. */
  read(): Promise<{ readonly events: readonly CallEvent[]; readonly times: readonly Date[] }>;
}

export interface MachineDisk {
  readonly deps: Pick<CallDeps, "record" | "history" | "saveLive" | "saveEnd">;
  /** It is lost: what it has not written it never will, or not before another has taken the call. */
  lose(loss: Loss): Promise<void>;
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
/** Lost machines that are not gone have given up by then. */
const AFTERWARDS_MS = 40_000;
/** The carrier notices, asks, and opens another stream. */
const RESUME_MS = 500;
const PATIENCE_MS = 5_000;
const CALL_MAX_MS = 300_000;

export interface LostCallOptions {
  readonly lines: readonly string[];
  readonly losses: readonly Loss[];
  readonly graph?: Graph;
  readonly seed?: number;
  /** In memory when absent. */
  readonly disk?: (clock: ManualClock) => Promise<Disk>;
  readonly bargeInAtMs?: number;
  /** A caller with nothing to say hangs up after so long. */
  readonly patienceMs?: number;
  readonly kit?: Omit<CallKitOptions, "kit" | "after" | "deps">;
}

/** In memory: what is younger than the loss's lag when a machine is lost was on its way. */
function memoryDisk(clock: ManualClock): Disk {
  const events: CallEvent[] = [];
  const times: Date[] = [];

  return {
    advance: clock.advance,
    read: () => Promise.resolve({ events, times }),
    machine() {
      let isLost = false;
      return Promise.resolve({
        deps: {
          record(seq, event, at) {
            if (isLost) return;
            assert.equal(seq, events.length + 1, "numbered on from what is on disk");
            events.push(event);
            times.push(at);
          },
          history: () => Promise.resolve(historyOf(events, times)),
          saveLive: () => Promise.resolve(),
          saveEnd: () => Promise.resolve(),
        },
        lose({ lagMs }) {
          isLost = true;
          const before = +clock.date() - lagMs;
          while (events.length > 0 && +(times.at(-1) ?? 0) > before) {
            events.pop();
            times.pop();
          }
          return Promise.resolve();
        },
      });
    },
  };
}

/** Runs it to its end. */
export async function loseMachines(options: LostCallOptions): Promise<LostCall> {
  const clock = manualClock();
  const disk = await (options.disk ?? memoryDisk)(clock);
  const recorded: { event: CallEvent; atMs: number }[] = [];
  const kept: number[] = [];
  const lostAtMs: number[] = [];
  const ends: EndedCall[] = [];
  const machines: CallKit[] = [];
  let hangUps = 0;
  let waiting = [...options.lines];
  let hasHungUp = false;

  /** Lives through one machine. True: the call has ended. */
  async function live(nth: number): Promise<boolean> {
    const loss = options.losses[nth];
    const { deps, lose } = await disk.machine(nth);
    let isLost = false;
    const it: CallKit = callKit({
      ...options.kit,
      ...(options.graph === undefined ? {} : { graph: options.graph }),
      kit: actorKit({ clock, ...(options.seed === undefined ? {} : { seed: options.seed }) }),
      ...(nth === 0 ? {} : { after: "machineLost" as const }),
      deps: {
        ...deps,
        record(seq, event, at) {
          if (isLost && loss?.goesOn !== true) return;
          deps.record(seq, event, at);
          if (isLost) return;
          recorded.push({ event, atMs: clock.now() });
          isLost = seq === loss?.atEvent;
        },
        async saveEnd(ended, signal) {
          await deps.saveEnd(ended, signal);
          if (!isLost) ends.push(ended);
        },
        carrier: {
          provider: "test",
          placeCall: () => Promise.reject(new Error("No call is placed")),
          hangUp() {
            if (isLost) return Promise.reject(new Error("Nobody is there any more"));
            hangUps++;
            for (const stream of it.streams) stream.stop();
            return Promise.resolve();
          },
        },
      },
    });
    machines.push(it);
    const line: { stream: MediaStream | null; caller: Caller | null } = {
      stream: null,
      caller: null,
    };
    if (nth > 0) await disk.advance(RESUME_MS);
    await connect();
    while (it.stops.length === 0 && !isLost) {
      assert.ok(clock.now() < CALL_MAX_MS, "the call never ends");
      await disk.advance(STEP_MS);
      if (loss?.atMs !== undefined && clock.now() >= loss.atMs) isLost = true;
      if (!isLost && it.stops.length === 0 && line.stream?.isOpen() === false) await connect();
    }
    line.caller?.stop();
    if (!isLost || loss === undefined) return true;
    await lose(loss);
    const { events, times } = await disk.read();
    kept.push(events.length);
    lostAtMs.push(clock.now());
    // Who was not heard, as far as anybody knows, says it again.
    const last = line.caller?.lines.at(-1);
    const from = +clock.date() - clock.now() + (last?.startedAtMs ?? 0);
    const isKnown = events.some(({ type }, at) => {
      return type === "caller_heard" && +(times[at] ?? 0) >= from;
    });
    if (last !== undefined && !isKnown) waiting = [last.text, ...waiting];
    for (const stream of it.streams) stream.drop();
    return false;

    async function connect(): Promise<void> {
      line.caller?.stop();
      if (hasHungUp) { // nobody asks any more: the carrier tells that it is over
        it.call.send({ type: "progressed", carrierCallId: CARRIER_CALL_ID, progress: "completed" });
        return;
      }
      const asked = it.streams.length === 0 && nth === 0 ? it.answer() : it.resume();
      const answer = await asked.catch(() => null); // it may end in the same instant
      if (answer?.type !== "connect") return;
      const stream = await it.open(answer);
      line.stream = stream;
      line.caller = newCaller({
        clock,
        stream,
        lines: waiting,
        said: () => void waiting.shift(),
        hangUp() {
          hasHungUp = true;
          stream.stop();
        },
        patienceMs: options.patienceMs ?? PATIENCE_MS,
        ...(nth === 0 && options.bargeInAtMs !== undefined
          ? { bargeInAtMs: options.bargeInAtMs }
          : {}),
      });
    }
  }

  for (let nth = 0; !await live(nth); nth++);
  const endedAtMs = clock.now();
  await disk.advance(AFTERWARDS_MS);
  const { events, times } = await disk.read();
  const streams = machines.flatMap((it) => it.streams);
  const heard = streams.flatMap(playedWords);
  for (const it of machines) await it.close();
  return { events, times, kept, lostAtMs, recorded, ends, streams, hangUps, heard, endedAtMs };
}
