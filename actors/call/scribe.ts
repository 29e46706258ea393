/** A scribe: has a colleague who speaks in the agent's place recognised, and tells the call what they have said. */

import type { Actor, Kind, Ref, StreamItem } from "@/actors/runtime/actor.ts";
import { type AsyncQueue, newAsyncQueue } from "@/lib/async_queue.ts";
import type { AppError } from "@/lib/errors.ts";
import type { Recognition, SpeechToText, TranscribeOptions } from "@/lib/providers/stt/stt.ts";

export type ScribeMessage =
  /** From the call: whole frames of their microphone. */
  | { type: "spoke"; audio: Uint8Array }
  /** From the call: they have given the call back. */
  | { type: "end" }
  | { type: "recognised"; item: StreamItem<Recognition> }
  | { type: "overdue" };

/** What a scribe tells its call. */
export type FromScribe =
  | { type: "colleagueSaid"; by: string; text: string }
  /** What they say from here on is not written down. */
  | { type: "colleagueUnheard"; by: string; error: AppError };

export const scribeKind: Kind<ScribeMessage> = {
  name: "scribe",
  controlMax: 256,
  media: { types: ["spoke"], max: 100 },
  restart: "temporary", // the call goes on without it
  intensity: { restarts: 0, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 0 },
  poisonTries: 1,
};

/** Messages that the recogniser has not taken: past it the oldest is dropped. */
const UNTAKEN_MAX = 250;
/** Once the call is given back, the last words are waited for so long. */
const LAST_WORDS_MS = 3_000;
/** Of one utterance; more is told in parts. */
const TEXT_MAX_CHARS = 2_000;

interface State {
  /** Changed in place. */
  readonly audio: AsyncQueue<Uint8Array>;
  /** Of the utterance that goes on. */
  readonly text: string;
}

/** `by`: who speaks. */
export function scribe({ stt, options, by, call }: {
  readonly stt: SpeechToText;
  readonly options: TranscribeOptions;
  readonly by: string;
  readonly call: Pick<Ref<FromScribe>, "send">;
}): Actor<State, ScribeMessage> {
  function told(state: State): State {
    if (state.text !== "") call.send({ type: "colleagueSaid", by, text: state.text });
    return { ...state, text: "" };
  }

  function heard(state: State, recognition: Recognition): State {
    if (recognition.type === "utteranceEnded") return told(state);
    if (recognition.type !== "final") return state;
    const text = `${state.text} ${recognition.text}`.trim();
    return text.length < TEXT_MAX_CHARS ? { ...state, text } : told({ ...state, text });
  }

  return {
    init(ctx) {
      const audio = newAsyncQueue<Uint8Array>(UNTAKEN_MAX);
      ctx.stream(
        "recogniser",
        (signal) => stt.transcribe(audio, options, signal),
        (item) => ({ type: "recognised", item }),
      );
      return { audio, text: "" };
    },
    on: {
      spoke: ({ audio }, message) => void audio.push(message.audio),
      end({ audio }, _message, ctx) {
        audio.end();
        ctx.timer("end", LAST_WORDS_MS, { type: "overdue" });
      },
      recognised(state, { item }, ctx) {
        if (item.type === "item") return heard(state, item.value);
        const written = told(state);
        if (item.type === "failed") {
          call.send({ type: "colleagueUnheard", by, error: item.error });
        }
        ctx.stop();
        return written;
      },
      overdue(state, _message, ctx) {
        ctx.stop();
        return told(state);
      },
    },
    view: ({ audio }) => ({ provider: stt.provider, droppedPieces: audio.droppedCount }),
    stopped: ({ audio }) => audio.end(),
  };
}
