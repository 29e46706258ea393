/** A listener: feeds the caller's audio to a recogniser and tells the call what it hears. */

import type { Actor, Context, Kind, Ref, Reply, StreamItem } from "@/actors/runtime/actor.ts";
import { type AsyncQueue, newAsyncQueue } from "@/lib/async_queue.ts";
import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import type { BeepEar } from "@/lib/audio/beep.ts";
import type { Vad } from "@/lib/audio/vad.ts";
import type { Cancel } from "@/lib/clock.ts";
import type { AppError } from "@/lib/errors.ts";
import type { Recognition, SpeechToText, TranscribeOptions } from "@/lib/providers/stt/stt.ts";
import type { Pieces } from "./pieces.ts";
import { isToBeTold, listens, tells, type Untold, untoldOf } from "./untold.ts";

export type ListenerMessage =
  /** From the leg: one or more frames of the caller. */
  | { type: "audio"; audio: Uint8Array }
  /** From the call: the line was gone, and what comes from now on comes over another. */
  | { type: "lineIsBack" }
  /** From the call: feed silence in place of the caller, or hear them again. */
  | { type: "listen"; isDeaf: boolean }
  /** From the call: what to listen for from here on. A session that is open is ended between two utterances. */
  | { type: "tune"; options: TranscribeOptions }
  /** From the leg: words that need no recogniser. Not final: they may still change. */
  | { type: "typed"; text: string; isFinal: boolean }
  /** From the call: has the caller made sounds of speech since then? The recogniser knows it later. */
  | { type: "hasSounded"; sinceMs: number; reply: Reply<boolean> }
  | { type: "recognised"; item: StreamItem<Recognition> };

/** What a listener tells its call. */
export type FromListener =
  /**
   * `endedAt`: when the audio of its last word came in, the system's clock; null where that is unknown. `isMidway`:
   * it begins with the line, and so probably before it.
   */
  | { type: "heard"; recognition: Recognition; endedAt: number | null; isMidway?: true }
  /** The caller has made sounds of speech for so long; told a few times a second, where it was asked for. */
  | { type: "sounded"; forMs: number }
  /** The caller has said something, and the recogniser is down or stuck: it may still be heard, later. */
  | { type: "unheard" }
  /** A beep, as voicemails make it, where it was asked for. */
  | { type: "beeped" }
  /** The recogniser will not work, and trying again would not help. */
  | { type: "deaf"; error: AppError }
  /** The listener crashed and is back, tuned as it was made. */
  | { type: "listenerLost" };

export const listenerKind: Kind<ListenerMessage> = {
  name: "listener",
  controlMax: 256,
  media: { types: ["audio"], max: 250 }, // five seconds at least: a process that stood still finds them at once
  restart: "permanent",
  intensity: { restarts: 3, withinMs: 60_000 },
  backoff: { minMs: 50, maxMs: 500 },
  poisonTries: 1,
};

const SOUNDED_EVERY_MS = 100;
/** Words that begin so near to where a line does have begun before. */
const MIDWAY_MS = 150;
/** Pieces the recogniser has not taken: five seconds at least. Past it the oldest is dropped. */
export const UNTAKEN_MAX = 250;

export interface ListenerDeps {
  /** Is counted there. */
  readonly pieces: Pick<Pieces, "enter">;
  readonly stt: SpeechToText;
  readonly options: TranscribeOptions;
  readonly call: Pick<Ref<FromListener>, "send">;
  /** An ear of our own, beside the recogniser. */
  readonly vad: Vad;
  /** True: tell of the caller's sounds. */
  readonly tellsSounds: boolean;
  /** Absent: beeps are nothing to this call. */
  readonly beeps?: BeepEar;
  /** True opens the session before there is audio; false for a call that may ring for long. */
  readonly isEarly: boolean;
}

interface State {
  /** Owned by this incarnation; changed in place. */
  readonly audio: AsyncQueue<Uint8Array>;
  readonly isOpen: boolean;
  readonly isDeaf: boolean;
  /** What the session listens for, or the next one will. */
  readonly options: TranscribeOptions;
  /** The caller is in the middle of an utterance. */
  readonly isSpeaking: boolean;
  /** The session was opened with other options. */
  readonly isStale: boolean;
  /** Since the session's first, and when the last came in; changed in place, many times a second. */
  readonly fed: { bytes: number; at: number };
  /** Where in what was fed the line began; null: words have been recognised since, or it is not known. */
  readonly lineFromBytes: number | null;
  readonly untold: Untold;
}

export function listener(deps: ListenerDeps): Actor<State, ListenerMessage> {
  const { stt, call, isEarly, vad, tellsSounds, beeps, pieces } = deps;
  let leave: Cancel | null = null;
  let soundedAt = -Infinity;

  /** While the caller is not listened to, nobody hears them. */
  function hark(audio: Uint8Array, { untold, options }: State, now: number): Untold {
    let next = untold;
    for (let at = 0; at < audio.length; at += FRAME_BYTES) {
      const frame = audio.length <= FRAME_BYTES ? audio : audio.subarray(at, at + FRAME_BYTES);
      const cameAt = now - (audio.length - at - frame.length) / BYTES_PER_MS;
      next = harkTo(frame, { untold: next, options, now: cameAt });
    }
    return next;
  }

  function harkTo(
    frame: Uint8Array,
    { untold, options, now }: Pick<State, "untold" | "options"> & { readonly now: number },
  ): Untold {
    if (beeps?.take(frame)) call.send({ type: "beeped" });
    const forMs = vad.take(frame);
    if (forMs > 0) soundedAt = now - vad.quietMs;
    const isDue = forMs > 0 && forMs % SOUNDED_EVERY_MS < FRAME_MS;
    if (isDue && tellsSounds) call.send({ type: "sounded", forMs });
    const next = listens(untold, forMs > 0);
    const endpointMs = options.judgement === undefined ? options.endpointingMs : null;
    if (!isToBeTold(next, now, endpointMs)) return next;
    call.send({ type: "unheard" });
    return { ...next, soundMs: 0, isPending: false };
  }

  function open(state: State, ctx: Context<ListenerMessage>): State {
    ctx.stream(
      "recogniser",
      (signal) => stt.transcribe(state.audio, state.options, signal),
      (item) => ({ type: "recognised", item }),
    );
    return { ...state, isOpen: true, isStale: false, isSpeaking: false };
  }

  /** Opens a session in place of the one there is; what that one has not taken, this one gets. */
  function reopen(state: State, ctx: Context<ListenerMessage>): State {
    if (!state.isStale || state.isSpeaking) return state;
    ctx.cancel("recogniser");
    const fed = { ...state.fed, bytes: bytesOf(state.audio.waiting) };
    return open({ ...state, fed, lineFromBytes: null }, ctx);
  }

  return {
    init(ctx, restart) {
      const audio = newAsyncQueue<Uint8Array>(UNTAKEN_MAX);
      const closed = { isOpen: false, isDeaf: false, isSpeaking: false, isStale: false };
      const { options } = deps;
      const lineFromBytes = restart === undefined ? null : 0; // what it had of the line is lost
      const fed = { bytes: 0, at: ctx.now() };
      const untold = untoldOf(restart === undefined ? null : ctx.now());
      const state = { ...closed, audio, options, fed, lineFromBytes, untold };
      leave = pieces.enter();
      if (restart !== undefined) call.send({ type: "listenerLost" });
      return isEarly ? open(state, ctx) : state;
    },
    on: {
      audio(state, { audio }, ctx) {
        const now = ctx.now();
        const hearing = state.isOpen ? state : open(state, ctx);
        hearing.audio.push(state.isDeaf ? silenceLike(audio) : audio);
        hearing.fed.bytes += audio.length;
        hearing.fed.at = now;
        const untold = state.isDeaf ? state.untold : hark(audio, state, now);
        return untold === hearing.untold ? hearing : { ...hearing, untold };
      },
      lineIsBack: (state) => ({ ...state, lineFromBytes: state.fed.bytes }),
      listen: (state, { isDeaf }) => ({ ...state, isDeaf }),
      tune(state, { options }, ctx) {
        if (isSame(options, state.options)) return state;
        return reopen({ ...state, options, isStale: state.isOpen }, ctx);
      },
      hasSounded: (_state, { sinceMs, reply }) => reply(soundedAt > sinceMs),
      typed(state, { text, isFinal }, ctx) {
        const endMs = state.fed.bytes / BYTES_PER_MS;
        const endedAt = ctx.now();
        const tell = (recognition: Recognition): void => {
          call.send({ type: "heard", recognition, endedAt });
        };
        if (!isFinal) return tell({ type: "interim", text, endMs });
        tell({ type: "final", text, startMs: endMs, endMs, confidence: 1 });
        tell({ type: "utteranceEnded", lastWordEndMs: endMs });
      },
      recognised(state, { item }, ctx) {
        switch (item.type) {
          case "item": {
            const { type } = item.value;
            const untold = tells(state.untold, type, ctx.now());
            if (type === "lost") return { ...state, untold };
            const isMidway = type === "final" && beganMidway(state, item.value.startMs);
            call.send({
              type: "heard",
              recognition: item.value,
              endedAt: arrivalOf(state, item.value),
              ...(isMidway ? { isMidway } : {}),
            });
            const lineFromBytes = type === "final" ? null : state.lineFromBytes;
            const isSpeaking = type !== "utteranceEnded";
            return reopen({ ...state, untold, isSpeaking, lineFromBytes }, ctx);
          }
          case "ended":
            throw new Error("Recogniser ended while the call goes on");
          case "failed":
            if (item.error.retryable) throw item.error; // restarted in place, with a new session
            call.send({ type: "deaf", error: item.error });
            return state;
        }
      },
    },
    view: ({ audio, isOpen, isDeaf, fed }) => ({
      provider: stt.provider,
      isOpen,
      isDeaf,
      fedMs: fed.bytes / BYTES_PER_MS,
      waitingMs: bytesOf(audio.waiting) / BYTES_PER_MS,
      droppedPieces: audio.droppedCount,
    }),
    stopped({ audio }) {
      leave?.();
      audio.end();
    },
  };
}

function isSame(a: TranscribeOptions, b: TranscribeOptions): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function bytesOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

const SILENT_FRAME = new Uint8Array(FRAME_BYTES).fill(SILENCE);

/** Silence of the same length: the recogniser's clock runs on. */
function silenceLike({ length }: Uint8Array): Uint8Array {
  return length === FRAME_BYTES ? SILENT_FRAME : new Uint8Array(length).fill(SILENCE);
}

/** True of words that begin where the line does. What was fed is no longer known where pieces were dropped. */
function beganMidway({ audio, lineFromBytes }: Readonly<State>, startMs: number): boolean {
  if (lineFromBytes === null || audio.droppedCount > 0) return false;
  const atMs = startMs - lineFromBytes / BYTES_PER_MS;
  return Math.abs(atMs) < MIDWAY_MS;
}

/** When the audio at the recogniser's time stamp came in: audio arrives at the pace of the clock. */
function arrivalOf(state: Readonly<State>, recognition: Recognition): number | null {
  const { audio, fed } = state;
  if (audio.droppedCount > 0) return null; // the recogniser's count and ours have parted
  const atMs = audioTimeOf(recognition);
  if (atMs === null) return fed.at;
  return Math.min(fed.at, fed.at - (fed.bytes / BYTES_PER_MS - atMs)); // no later than now, whatever it says
}

/** Null where the recogniser tells none. */
function audioTimeOf(recognition: Recognition): number | null {
  switch (recognition.type) {
    case "speechStarted":
      return recognition.atMs;
    case "interim":
    case "final":
      return recognition.endMs;
    case "utteranceEnded":
    case "eagerEnded":
      return recognition.lastWordEndMs;
    case "resumed":
    case "lost":
      return null;
  }
}
