/** A speaker whose carrier has the voice: hands on the text of an utterance, and tells what of it was played as marks. */

import type { Actor, Context, Ref } from "@/actors/runtime/actor.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { RelayEvent } from "@/lib/providers/carrier/relay.ts";
import type { FromLeg, LegMessage } from "./leg.ts";
import { markName, type MarkPlace } from "./ledger.ts";
import type { FromListener } from "./listener.ts";
import { withRegion } from "./relayed.ts";
import type { FromSpeaker, SpeakerMessage } from "./speaker.ts";

/** A word takes about so long to say: of a carrier that does not tell how far it is, nothing better is known. */
export const SPOKEN_WORD_MS = 400;
/** While the carrier should be speaking, its call hears so often that it lives. */
const TICK_MS = 1_000;
/** A carrier that tells how far it is may take so much longer than that. */
const SLOWER = 2;
const SLACK_MS = 3_000;
/** It may stop between two texts that came late; after so long without more it was the end. */
const STOPPED_MS = 500;

export interface RelaySpeakerDeps {
  readonly call: Pick<
    Ref<FromSpeaker | Extract<FromLeg, { type: "marked" }> | Sounded>,
    "send"
  >;
  /** What the carrier was set up to speak. */
  readonly language: string;
}

type Sounded = Extract<FromListener, { type: "sounded" }>;

interface Word {
  readonly text: string;
  /** Letters and digits of the utterance up to its end: what the carrier tells is compared by them. */
  readonly endsAt: number;
}

interface Speaking {
  readonly generation: number;
  readonly leg: Pick<Ref<LegMessage>, "send">;
  readonly isInterruptible: boolean;
  readonly isHeld: boolean;
  readonly words: readonly Word[];
  /** Of a held one, what is not sent. */
  readonly kept: readonly string[];
  readonly isFinished: boolean;
  /** When its first text was sent, and whether the carrier has begun to play it. */
  readonly sentAt: number | null;
  readonly hasBegun: boolean;
  /** Letters and digits that have been played. */
  readonly played: number;
  readonly ticks: number;
}

interface State {
  readonly speaking: Speaking | null;
  /** The carrier tells how far it is. */
  readonly isTold: boolean;
  /** It has fallen silent by itself. */
  readonly isSilent: boolean;
  readonly language: string;
}

export function relaySpeaker(deps: RelaySpeakerDeps): Actor<State, SpeakerMessage> {
  const { call } = deps;

  function mark({ generation }: Speaking, place: MarkPlace, ctx: Context<SpeakerMessage>): void {
    const name = markName(generation, place);
    call.send({ type: "marked", name, at: ctx.now(), frames: 0, jitterMs: 0 });
  }

  function rest(ctx: Context<SpeakerMessage>): void {
    ctx.cancel("tick");
    ctx.cancel("stopped");
  }

  /** Sends a text, whose words will be heard unless it is silenced. */
  function say(speaking: Speaking, text: string, ctx: Context<SpeakerMessage>): Speaking {
    const { generation, leg, isInterruptible, words } = speaking;
    let endsAt = words.at(-1)?.endsAt ?? 0;
    const added = text.split(/\s+/).filter((word) => word !== "")
      .map((word): Word => ({ text: word, endsAt: endsAt += lettersOf(word).length }));
    const placed = added.map(({ text }, at) => ({
      text,
      endByte: (words.length + at + 1) * SPOKEN_WORD_MS * BYTES_PER_MS,
    }));
    call.send({ type: "wordsPlaced", generation, words: placed });
    leg.send({ type: "say", part: { text: `${text} `, isLast: false, isInterruptible } });
    if (speaking.sentAt === null) ctx.timer("tick", TICK_MS, { type: "tick" });
    return {
      ...speaking,
      words: [...words, ...added],
      sentAt: speaking.sentAt ?? ctx.now(),
    };
  }

  function finish(speaking: Speaking): void {
    const { leg, isInterruptible } = speaking;
    leg.send({ type: "say", part: { text: "", isLast: true, isInterruptible } });
  }

  function begun(speaking: Speaking, ctx: Context<SpeakerMessage>): Speaking {
    if (speaking.hasBegun) return speaking;
    const { generation } = speaking;
    call.send({ type: "synthesisBegan", generation, at: ctx.now() });
    call.send({ type: "playoutBegan", generation, at: ctx.now(), leadMs: 0 });
    mark(speaking, { type: "start" }, ctx);
    return { ...speaking, hasBegun: true };
  }

  /** So many letters have been played: the words that end within them were heard. */
  function playedTo(speaking: Speaking, played: number, ctx: Context<SpeakerMessage>): Speaking {
    const count = speaking.words.filter(({ endsAt }) => endsAt <= played).length;
    const before = speaking.words.filter(({ endsAt }) => endsAt <= speaking.played).length;
    if (count > before) mark(speaking, { type: "word", index: count - 1 }, ctx);
    return { ...speaking, played: Math.max(played, speaking.played) };
  }

  /** All of it was said. */
  function over(state: State, speaking: Speaking, ctx: Context<SpeakerMessage>): State {
    rest(ctx);
    const whole = playedTo(begun(speaking, ctx), Infinity, ctx);
    mark(whole, { type: "end" }, ctx);
    return { ...state, speaking: null };
  }

  function isPlayed({ words, played, isFinished }: Speaking): boolean {
    return isFinished && (words.at(-1)?.endsAt ?? 0) <= played;
  }

  function relayed(state: State, event: RelayEvent, ctx: Context<SpeakerMessage>): State {
    const { speaking } = state;
    if (speaking === null || speaking.sentAt === null) return state; // of one that is over
    switch (event.type) {
      case "speaking": {
        if (event.isSpeaking) {
          ctx.cancel("stopped");
          return { ...state, isTold: true, speaking: begun(speaking, ctx) };
        }
        if (!speaking.hasBegun) return state; // the end of the one before
        if (isPlayed(speaking)) return over(state, speaking, ctx);
        ctx.timer("stopped", STOPPED_MS, { type: "stopped" });
        return { ...state, isTold: true };
      }
      case "played": {
        const { played } = speaking;
        const letters = lettersOf(event.text).length;
        return {
          ...state,
          isTold: true,
          speaking: playedTo(begun(speaking, ctx), played + letters, ctx),
        };
      }
      case "interrupted": {
        rest(ctx);
        const to = heardTo(speaking, event.heard);
        const cut = to === 0 ? speaking : playedTo(begun(speaking, ctx), to, ctx);
        call.send({ type: "sounded", forMs: Infinity });
        return { ...state, isSilent: true, speaking: cut };
      }
    }
  }

  return {
    init(_ctx, restart) {
      if (restart !== undefined) call.send({ type: "speakerLost" });
      const { language } = deps;
      return { speaking: null, isTold: false, isSilent: false, language };
    },
    on: {
      begin(state, { generation, leg, isHeld, keys, voice, isInterruptible = true }, ctx) {
        rest(ctx);
        const language = withRegion(voice?.language ?? state.language);
        if (language !== state.language) leg.send({ type: "speakIn", language });
        const none = { words: [], kept: [], isFinished: false, sentAt: null, hasBegun: false };
        const speaking = { generation, leg, isHeld, isInterruptible, ...none, played: 0, ticks: 0 };
        const next = { ...state, language, isSilent: false };
        if (keys === undefined) return { ...next, speaking };
        leg.send({ type: "press", keys }); // and that is all that is known of them
        return over(next, speaking, ctx);
      },
      release(state, { generation }, ctx) {
        const { speaking } = state;
        if (speaking?.generation !== generation || !speaking.isHeld) return state;
        const free: Speaking = { ...speaking, isHeld: false, kept: [] };
        const said = speaking.kept.reduce<Speaking>((it, text) => say(it, text, ctx), free);
        if (said.isFinished) finish(said);
        return { ...state, speaking: said };
      },
      discard(state, { generation }, ctx) {
        if (state.speaking?.generation !== generation) return state;
        rest(ctx);
        return { ...state, speaking: null };
      },
      text(state, { generation, text }, ctx) {
        const { speaking } = state;
        if (speaking?.generation !== generation) return state;
        if (!speaking.isHeld) return { ...state, speaking: say(speaking, text, ctx) };
        return { ...state, speaking: { ...speaking, kept: [...speaking.kept, text] } };
      },
      finish(state, { generation }, ctx) {
        const { speaking } = state;
        if (speaking?.generation !== generation) return state;
        const finished = { ...speaking, isFinished: true };
        if (!finished.isHeld) finish(finished);
        if (finished.isHeld || finished.words.length > 0) return { ...state, speaking: finished };
        return over(state, finished, ctx);
      },
      silence(state, { generation, leg }, ctx) {
        rest(ctx);
        if (leg === null) return { ...state, speaking: null };
        if (!state.isSilent) leg.send({ type: "hush" });
        const name = markName(generation, { type: "cut" });
        call.send({ type: "marked", name, at: ctx.now(), frames: 0, jitterMs: 0 });
        return { ...state, speaking: null };
      },
      relayed: (state, { event }, ctx) => relayed(state, event, ctx),
      stopped(state, _message, ctx) {
        if (state.speaking?.isFinished) return over(state, state.speaking, ctx);
        return state;
      },
      tick(state, _message, ctx) {
        const { speaking, isTold } = state;
        if (speaking === null || speaking.sentAt === null) return state;
        ctx.timer("tick", TICK_MS, { type: "tick" });
        const spokenMs = speaking.words.length * SPOKEN_WORD_MS;
        const boundMs = isTold ? spokenMs * SLOWER + SLACK_MS : spokenMs;
        const isLate = ctx.now() - speaking.sentAt >= boundMs;
        if (isLate && speaking.isFinished) return over(state, speaking, ctx);
        if (isLate || isPlayed(speaking)) return state; // the call's own deadlines hold
        const lives = isTold ? speaking : begun(speaking, ctx);
        mark(lives, { type: "tick", index: lives.ticks }, ctx);
        return { ...state, speaking: { ...lives, ticks: lives.ticks + 1 } };
      },
      synthesised() {},
      surround() {}, // the carrier has the voice, and no room around it
      ambienceCame() {},
    },
    view: ({ speaking, isTold, isSilent }) => ({
      provider: "carrier",
      generation: speaking?.generation ?? null,
      words: speaking?.words.length ?? 0,
      isTold,
      isSilent,
    }),
  };
}

/** What is left of a text when it is read aloud, whatever was made of spaces and punctuation. */
function lettersOf(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}

/** Letters of the utterance up to where the carrier says that it was cut: the text may be all of it, or its last part. */
function heardTo({ words, played }: Speaking, heard: string): number {
  const letters = lettersOf(heard);
  const said = lettersOf(words.map(({ text }) => text).join(""));
  for (let at = said.indexOf(letters); at !== -1; at = said.indexOf(letters, at + 1)) {
    if (at + letters.length >= played) return at + letters.length;
  }
  return played;
}
