/** Several recognisers as one: one that drops is replaced at once, and hears again what came behind its last words. */

import { type AsyncQueue, drain, newAsyncQueue } from "@/lib/async_queue.ts";
import { BYTES_PER_MS, FRAME_BYTES } from "@/lib/audio/frame.ts";
import { AudioRing } from "@/lib/audio/ring.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Recognition, SpeechToText, TranscribeOptions } from "@/lib/providers/stt/stt.ts";
import { type Guarded, mayHelp, note } from "./guarded.ts";

/** Audio before the last word of a session that a new one hears again: a word may have begun in it. */
export const REPLAY_MS = 1_000;
/** What it hears again at most: as long as a hang is not known, and a connection in vain after it. */
const KEPT_MAX_MS = 6_000;
/** Audio that a session has not taken; past it the oldest goes. */
const UNTAKEN_MAX_FRAMES = 500;
/** A session that lasts so long has worked. */
const SHORT_MS = 10_000;
/** So many failures in a row, over so long: the caller is not heard, and has to be told. */
const FAILURES_MAX = 4;
const GIVE_UP_MS = 8_000; // meanwhile the agent says that it hears nothing
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 800;
/** While all breakers are open: the shortest of their waits is two seconds. */
const ALL_OPEN_LOOK_MS = 250;
const ALL_OPEN_MAX_MS = 5_000;

export interface RecogniserFailoverOptions {
  readonly clock: Clock;
  /** In their order; at least one, which is connected to again when it is the only one. */
  readonly recognisers: readonly Guarded<SpeechToText>[];
}

/** Times of recognitions go on over all sessions: they count the audio of the first. */
export function failoverRecogniser(
  { clock, recognisers }: RecogniserFailoverOptions,
): SpeechToText {
  async function* transcribe(
    audio: AsyncIterable<Uint8Array>,
    options: TranscribeOptions,
    signal: AbortSignal,
  ): AsyncGenerator<Recognition> {
    const line = listenTo(audio, signal);
    let heardMs = 0; // to the end of the last final
    let signMs = 0; // of the line, at the last word of any kind
    let failures = 0;
    let failingSince: number | null = null;
    let last = -1;
    for (;;) {
      const free = choose(recognisers, last);
      if (free === null) yield { type: "lost" };
      const nth = free ?? await whoever(last, signal);
      last = nth === 0 ? -1 : nth; // the first is asked again as soon as its breaker lets it
      const { provider, breaker } = recognisers[nth] as Guarded<SpeechToText>; // it was just found there
      const startedAt = clock.now();
      const session = line.open(Math.max(heardMs, signMs - REPLAY_MS));
      const again = heardMs; // what a new session may hear twice ends there
      let works = false;
      let hasLasted = false;
      let hasFailed = false;
      try {
        for await (const it of provider.transcribe(session.audio, options, signal)) {
          // One that says a word and hangs is ill: it has to last. Most end by an abort, which says nothing.
          if (!works) breaker.answered();
          works = true;
          if (!hasLasted && clock.now() - startedAt >= SHORT_MS) {
            hasLasted = true;
            breaker.succeeded();
          }
          signMs = line.receivedMs;
          const recognition = moved(it, session.fromMs);
          if (recognition.type === "final") {
            if (recognition.endMs <= again) continue; // told before
            heardMs = recognition.endMs;
          }
          yield recognition;
        }
        if (line.hasEnded) return;
        throw new AppError("provider_failed", `Provider "${provider.provider}" ended early`, {
          retryable: true,
        });
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        note(breaker, error);
        hasFailed = true;
        if (clock.now() - startedAt >= SHORT_MS) {
          failures = 0;
          failingSince = null;
        }
        failures++;
        failingSince ??= clock.now();
        if (!mayHelp(error, recognisers.length === 1)) throw error;
        if (failures >= FAILURES_MAX && clock.now() - failingSince >= GIVE_UP_MS) {
          throw unavailable(error);
        }
        last = nth;
        if (recognisers.length === 1 || failures > recognisers.length) {
          yield { type: "lost" }; // there is no other who would be heard of at once
          await sleep(clock, Math.min(PAUSE_MIN_MS * 2 ** failures, PAUSE_MAX_MS), signal);
        }
      } finally {
        if (!hasFailed && works && !hasLasted) breaker.succeeded();
        if (!hasFailed && !works) breaker.abandoned();
        session.close();
      }
    }
  }

  /** Whom to ask. While all are left alone it waits: a call that hears nothing for seconds is better than none. */
  async function whoever(last: number, signal: AbortSignal): Promise<number> {
    const until = clock.now() + ALL_OPEN_MAX_MS;
    for (;;) {
      const nth = choose(recognisers, last);
      if (nth !== null) return nth;
      if (clock.now() >= until) throw unavailable();
      await sleep(clock, ALL_OPEN_LOOK_MS, signal);
    }
  }

  return { provider: recognisers.map(({ provider }) => provider.provider).join("+"), transcribe };
}

function choose(recognisers: readonly Guarded<SpeechToText>[], after: number): number | null {
  for (let step = 1; step <= recognisers.length; step++) {
    const nth = (after + step) % recognisers.length;
    if (recognisers[nth]?.breaker.take()) return nth;
  }
  return null;
}

interface Line {
  readonly hasEnded: boolean;
  /** Audio so far. */
  readonly receivedMs: number;
  /** Audio from `afterMs` on, or what is kept of it; then what comes. */
  open(afterMs: number): {
    readonly audio: AsyncIterable<Uint8Array>;
    /** Where its first sample stands on the line. */
    readonly fromMs: number;
    close(): void;
  };
}

/** Reads the caller's audio once, and keeps the last seconds of it. */
function listenTo(audio: AsyncIterable<Uint8Array>, signal: AbortSignal): Line {
  const kept = new AudioRing(KEPT_MAX_MS * BYTES_PER_MS);
  let hasEnded = false;
  const readers = new Set<AsyncQueue<Uint8Array>>(); // one, or none between two sessions

  function end(): void {
    hasEnded = true;
    for (const reader of readers) reader.end();
  }

  const leave = drain(audio, {
    take(frame) {
      if (signal.aborted) {
        leave();
        return end();
      }
      kept.push(frame);
      for (const reader of readers) reader.push(frame);
    },
    ended: end,
    failed: end, // whoever feeds it ends it, and fails at nothing
  });

  return {
    get hasEnded() {
      return hasEnded;
    },
    get receivedMs() {
      return kept.received / BYTES_PER_MS;
    },
    open(afterMs) {
      const queue = newAsyncQueue<Uint8Array>(UNTAKEN_MAX_FRAMES);
      const wanted = Math.ceil(afterMs * BYTES_PER_MS / FRAME_BYTES) * FRAME_BYTES; // to whole frames
      const from = Math.max(kept.from, Math.min(kept.received, wanted));
      const again = kept.since(from);
      for (let at = 0; at < again.length; at += FRAME_BYTES) {
        queue.push(again.subarray(at, at + FRAME_BYTES));
      }
      if (hasEnded) queue.end();
      readers.add(queue);
      return {
        audio: queue,
        fromMs: from / BYTES_PER_MS,
        close() {
          queue.end();
          readers.delete(queue);
        },
      };
    },
  };
}

function moved(recognition: Recognition, byMs: number): Recognition {
  switch (recognition.type) {
    case "speechStarted":
      return { ...recognition, atMs: recognition.atMs + byMs };
    case "interim":
      return { ...recognition, endMs: recognition.endMs + byMs };
    case "final":
      return {
        ...recognition,
        startMs: recognition.startMs + byMs,
        endMs: recognition.endMs + byMs,
      };
    case "utteranceEnded":
    case "eagerEnded":
      return { ...recognition, lastWordEndMs: recognition.lastWordEndMs + byMs };
    case "resumed":
    case "lost":
      return recognition;
  }
}

/** Not to be tried again at once: it has been, for as long as a caller may be left without a word. */
function unavailable(cause?: unknown): AppError {
  return new AppError("provider_failed", "No recogniser can be asked now: all have failed", {
    retryable: false,
    cause,
  });
}
