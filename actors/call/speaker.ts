/** A speaker: has an utterance synthesised and plays it to the leg in real time. */

import type { Actor, Context, Kind, Ref, StreamItem } from "@/actors/runtime/actor.ts";
import { type AsyncQueue, newAsyncQueue } from "@/lib/async_queue.ts";
import { dialTones } from "@/lib/audio/dtmf.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { isAudible } from "@/lib/audio/energy.ts";
import type { AppError } from "@/lib/errors.ts";
import type { RelayEvent } from "@/lib/providers/carrier/relay.ts";
import {
  type HeldVoice,
  holdVoice,
  type Speech,
  type SpokenWord,
  type SynthesisOptions,
  type TextToSpeech,
} from "@/lib/providers/tts/tts.ts";
import { Surroundings } from "./ambience.ts";
import type { LegMessage } from "./leg.ts";
import { markName, type PlacedWord } from "./ledger.ts";
import { Playout } from "./playout.ts";
import type { Ticker } from "./ticker.ts";

export type SpeakerMessage =
  /**
   * From the call: a new utterance to this leg. One at a time: it takes the place of the one before. A held
   * one is made and not played: a caller who goes on is never to know of it.
   */
  | {
    type: "begin";
    generation: number;
    isHeld: boolean;
    leg: Pick<Ref<LegMessage>, "send">;
    /** Of a telephone: their tones in place of speech. */
    keys?: string;
    /** Absent: as the speaker was made. */
    voice?: SynthesisOptions;
    /** False: the caller is not to be heard over it. Only a carrier that has the voice needs to know. */
    isInterruptible?: boolean;
  }
  /** Play the held one. */
  | { type: "release"; generation: number }
  /** Forget the held one: there is nothing to clear. */
  | { type: "discard"; generation: number }
  /** A clause of it. */
  | { type: "text"; generation: number; text: string }
  /** That was all of it. */
  | { type: "finish"; generation: number }
  /**
   * Silence, now: nothing of this or an older utterance is sent behind the `clear` that this sends. A
   * null leg is gone, and there is nothing to clear.
   */
  | { type: "silence"; generation: number; leg: Pick<Ref<LegMessage>, "send"> | null }
  /** From the call: where the sound of the room goes from now on; null: nowhere. */
  | { type: "surround"; leg: Pick<Ref<LegMessage>, "send"> | null }
  | { type: "ambienceCame"; loop: Uint8Array | null }
  /** From the leg, where the carrier has the voice. */
  | { type: "relayed"; event: RelayEvent }
  | { type: "stopped" }
  | { type: "synthesised"; generation: number; item: StreamItem<Speech> }
  | { type: "tick" };

/** What a speaker tells its call. */
export type FromSpeaker =
  /** Words whose audio is there: they will be heard, unless the utterance is silenced. */
  | { type: "wordsPlaced"; generation: number; words: readonly PlacedWord[] }
  /** First audio of an utterance came from the synthesiser. */
  | { type: "synthesisBegan"; generation: number; at: number }
  /** Its first frame went to the carrier. `leadMs` of it are silent. */
  | { type: "playoutBegan"; generation: number; at: number; leadMs: number }
  /** The synthesiser failed; what it had given is still played to its end. */
  | { type: "synthesisFailed"; generation: number; error: AppError }
  /** The speaker crashed and is back: the utterance it had is lost. */
  | { type: "speakerLost" };

export const speakerKind: Kind<SpeakerMessage> = {
  name: "speaker",
  controlMax: 1024,
  restart: "permanent",
  intensity: { restarts: 3, withinMs: 60_000 },
  backoff: { minMs: 0, maxMs: 100 },
  poisonTries: 1,
};

/** Audio without a mark is marked so often, so that a long word shows that the carrier plays. */
const TICK_BYTES = 1_000 * BYTES_PER_MS;
/** Clauses of one utterance that the synthesiser has not taken. */
const CLAUSES_MAX = 1_000;

export interface SpeakerDeps {
  readonly tts: TextToSpeech;
  readonly options: SynthesisOptions;
  readonly ticker: Ticker;
  readonly call: Pick<Ref<FromSpeaker>, "send">;
  /** The sound of the room around the agent, as a loop; null: it cannot be had. Absent: there is none. */
  readonly ambience?: Promise<Uint8Array | null>;
}

interface Speaking {
  readonly generation: number;
  readonly leg: Pick<Ref<LegMessage>, "send">;
  /** Owned by this incarnation; changed in place. */
  readonly clauses: AsyncQueue<string>;
  readonly playout: Playout;
  /** Words that were placed. */
  readonly wordCount: number;
  /** Words that were announced, in order, and whose audio has not come. */
  readonly announced: readonly PlacedWord[];
  readonly audioBytes: number;
  /** Silent bytes at its beginning so far, while nothing audible has come. */
  readonly leadBytes: number;
  readonly phase: "waiting" | "hasAudio" | "playing";
  readonly isHeld: boolean;
  /** They have the line for themselves. */
  readonly isTones: boolean;
  /** Bytes sent since the last mark, and marks of no word so far. */
  readonly unmarkedBytes: number;
  readonly ticks: number;
}

interface State {
  readonly speaking: Speaking | null;
}

export function speaker(deps: SpeakerDeps): Actor<State, SpeakerMessage> {
  const { options, ticker, call } = deps;
  /** This incarnation's. */
  let tts: HeldVoice | null = null;
  const around = new Surroundings();
  let stopTicking: (() => void) | null = null;
  /** Ticks before it are nothing to us: a message each would be most of all messages of a machine. */
  let dueAt = -Infinity;

  function tickWith(ctx: Context<SpeakerMessage>): void {
    const tick = ctx.guard(() => ({ type: "tick" } as const));
    stopTicking ??= ticker.add((now) => {
      if (now >= dueAt) tick();
    });
  }

  function rest(): void {
    dueAt = -Infinity;
    if (around.isHeard) return; // it goes on
    stopTicking?.();
    stopTicking = null;
  }

  /** The room fills what the utterance leaves of the line. */
  function surround(state: State, ctx: Context<SpeakerMessage>): State {
    if (!around.isHeard || state.speaking?.isTones) return state;
    tickWith(ctx);
    around.fill(ctx.now());
    dueAt = Math.min(state.speaking === null ? Infinity : dueAt, around.dueAt);
    return state;
  }

  function drop(state: Readonly<State>, ctx: Context<SpeakerMessage>): State {
    state.speaking?.clauses.end();
    ctx.cancel("synthesis");
    rest();
    return { speaking: null };
  }

  /** Sends what is due; the first frame is reported, and the end puts the ticker to rest. */
  function play(speaking: Speaking, ctx: Context<SpeakerMessage>): State {
    const { playout, leg, generation, isHeld } = speaking;
    const { isTones } = speaking;
    const otherDueAt = isTones ? Infinity : around.dueAt;
    if (isHeld) {
      dueAt = otherDueAt;
      return { speaking };
    }
    let { phase, unmarkedBytes, ticks } = speaking;
    for (const item of playout.take(ctx.now())) {
      if (item.type === "mark") {
        leg.send({ type: "mark", name: item.name });
        unmarkedBytes = 0;
        continue;
      }
      around.under(item.audio, { isTones, now: ctx.now() });
      leg.send({ type: "play", audio: item.audio });
      unmarkedBytes += item.audio.length;
      if (unmarkedBytes >= TICK_BYTES) {
        leg.send({ type: "mark", name: markName(generation, { type: "tick", index: ticks++ }) });
        unmarkedBytes = 0;
      }
      if (phase === "playing") continue;
      phase = "playing";
      const leadMs = speaking.leadBytes / BYTES_PER_MS;
      call.send({ type: "playoutBegan", generation, at: ctx.now(), leadMs });
    }
    dueAt = Math.min(playout.dueAt, otherDueAt);
    if (!playout.isDone) return { speaking: { ...speaking, phase, unmarkedBytes, ticks } };
    rest();
    return { speaking: null };
  }

  /** Tells of the words whose audio there is up to `audioBytes`, and has the carrier mark their ends. */
  function place(speaking: Speaking, audioBytes: number): Speaking {
    const { playout, generation, announced, wordCount } = speaking;
    const cut = announced.findIndex(({ endByte }) => endByte > audioBytes);
    const words = cut === -1 ? announced : announced.slice(0, cut);
    if (words.length === 0) return speaking;
    call.send({ type: "wordsPlaced", generation, words });
    words.forEach(({ endByte }, at) => {
      playout.mark(endByte, markName(generation, { type: "word", index: wordCount + at }));
    });
    return {
      ...speaking,
      announced: announced.slice(words.length),
      wordCount: wordCount + words.length,
    };
  }

  function onSpeech(speaking: Speaking, speech: Speech, ctx: Context<SpeakerMessage>): State {
    dueAt = -Infinity; // whatever it is, the playout has changed
    const { playout, generation, announced } = speaking;
    switch (speech.type) {
      case "words": {
        const words = [...announced, ...speech.words.map(placed)];
        return { speaking: place({ ...speaking, announced: words }, speaking.audioBytes) };
      }
      case "audio": {
        if (speech.audio.length === 0) return { speaking };
        if (!playout.add(speech.audio)) throw new Error("Synthesiser sent audio without end");
        const audioBytes = speaking.audioBytes + speech.audio.length;
        const next = place({ ...speaking, audioBytes }, audioBytes);
        if (speaking.phase !== "waiting") return { speaking: next };
        call.send({ type: "synthesisBegan", generation, at: ctx.now() });
        if (!speaking.isHeld) tickWith(ctx);
        const leadBytes = silentPrefix(speech.audio);
        return play({ ...next, leadBytes, phase: "hasAudio" }, ctx);
      }
    }
  }

  return {
    init(ctx, restart) {
      if (restart !== undefined) call.send({ type: "speakerLost" });
      tts = holdVoice(deps.tts, options);
      const { ambience } = deps;
      if (ambience !== undefined) {
        ctx.run("ambience", () => ambience, (outcome) => ({
          type: "ambienceCame",
          loop: outcome.ok ? outcome.value : null,
        }));
      }
      return { speaking: null };
    },
    on: {
      begin(state, { generation, leg, isHeld, keys, voice = options }, ctx) {
        drop(state, ctx);
        const clauses = newAsyncQueue<string>(CLAUSES_MAX);
        const playout = new Playout();
        playout.mark(0, markName(generation, { type: "start" }));
        ctx.stream(
          "synthesis",
          (signal) => {
            if (keys !== undefined) return tonesOf(keys);
            return (tts ?? deps.tts).synthesize(
              clauses,
              { ...voice, utterance: generation },
              signal,
            );
          },
          (item) => ({ type: "synthesised", generation, item }),
        );
        const none = { wordCount: 0, announced: [], audioBytes: 0, leadBytes: 0 };
        const unsent = { unmarkedBytes: 0, ticks: 0, phase: "waiting" } as const;
        const isTones = keys !== undefined;
        const begun = { generation, leg, clauses, playout, isHeld, isTones };
        return surround({ speaking: { ...begun, ...none, ...unsent } }, ctx);
      },
      release({ speaking }, { generation }, ctx) {
        if (speaking?.generation !== generation) return { speaking };
        const released = { ...speaking, isHeld: false };
        if (speaking.phase === "waiting") return { speaking: released };
        tickWith(ctx);
        return play(released, ctx);
      },
      discard(state, { generation }, ctx) {
        return state.speaking?.generation === generation ? drop(state, ctx) : state;
      },
      text({ speaking }, { generation, text }) {
        if (speaking?.generation === generation) speaking.clauses.push(text);
      },
      finish({ speaking }, { generation }) {
        if (speaking?.generation === generation) speaking.clauses.end();
      },
      silence(state, { generation, leg }, ctx) {
        leg?.send({ type: "clear", mark: markName(generation, { type: "cut" }) });
        around.cleared(ctx.now());
        return surround(drop(state, ctx), ctx);
      },
      synthesised({ speaking }, { generation, item }, ctx) {
        if (speaking?.generation !== generation) return { speaking }; // that utterance was silenced
        if (item.type === "item") return onSpeech(speaking, item.value, ctx);
        const isComplete = item.type === "ended";
        // Word times may be estimates: when all was said, what is left has been said by its end.
        const last = isComplete ? place(speaking, Infinity) : speaking;
        if (item.type === "failed") {
          call.send({ type: "synthesisFailed", generation, error: item.error });
        }
        last.playout.end(markName(generation, { type: "end" }), isComplete);
        if (last.isHeld) return { speaking: { ...last, phase: "hasAudio" } };
        tickWith(ctx);
        return play(last, ctx);
      },
      surround(state, { leg }, ctx) {
        around.goTo(leg, ctx.now());
        if (state.speaking === null) rest();
        return surround(state, ctx);
      },
      ambienceCame(state, { loop }, ctx) {
        if (loop !== null) around.furnish(loop);
        return surround(state, ctx);
      },
      relayed() {}, // this voice is ours
      stopped() {},
      tick({ speaking }, _message, ctx) {
        return surround(speaking === null ? { speaking } : play(speaking, ctx), ctx);
      },
    },
    view: ({ speaking }) => ({
      provider: deps.tts.provider,
      generation: speaking?.generation ?? null,
      phase: speaking?.phase ?? "silent",
      sentMs: (speaking?.playout.sentBytes ?? 0) / BYTES_PER_MS,
    }),
    stopped({ speaking }) {
      speaking?.clauses.end();
      around.goTo(null, 0);
      rest();
      tts?.release();
    },
  };
}

async function* tonesOf(keys: string): AsyncGenerator<Speech> {
  yield await Promise.resolve({ type: "audio", audio: dialTones(keys) });
}

function placed(word: SpokenWord): PlacedWord {
  return { text: word.text, endByte: Math.ceil(word.endMs * BYTES_PER_MS) };
}

const AUDIBLE_STEP_BYTES = 40; // 5 ms

/** Bytes before the first audible 5 ms; all of it when nothing is. */
function silentPrefix(audio: Uint8Array): number {
  for (let at = 0; at < audio.length; at += AUDIBLE_STEP_BYTES) {
    if (isAudible(audio.subarray(at, at + AUDIBLE_STEP_BYTES))) return at;
  }
  return audio.length;
}
