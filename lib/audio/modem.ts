/**
 * Simulated speech: text to tones at the pace of speech and back, exact to the sample.
 *
 * A word is an opening, a symbol for each byte of its UTF-8, and a closing; silence follows. A word
 * was heard when the last sample of its closing was. Audio must come through as µ-law and at its
 * level; noise up to -40 dBFS does no harm.
 */

import type { SpokenWord } from "@/lib/providers/tts/tts.ts";
import { BYTES_PER_MS, SILENCE } from "./frame.ts";
import {
  CLOSING,
  EDGE_TOLERANCE,
  GAP_SAMPLES,
  LEVELS,
  likeliestByte,
  OPENING,
  type Sound,
  symbol,
  SYMBOL_SAMPLES,
} from "./tones.ts";

/** Silence before a word that follows the end of a sentence, beside the gap. */
const PAUSE_SAMPLES = 2 * SYMBOL_SAMPLES;
const SENTENCE_END = /[.!?…。！？]["'”’»)\]]*$/u;

/** A word and its sound: a pause where a sentence ended before it, the word, the gap after it. */
export interface VoicedWord {
  readonly word: SpokenWord;
  readonly audio: Uint8Array;
}

/** Something that speaks. Its times count on from its first sample over all it says. */
export interface Voice {
  /**
   * Speaks the words of `text`, which are what white space separates; each is made when it is
   * asked for. Half a surrogate pair is spoken as U+FFFD.
   */
  say(text: string): Iterable<VoicedWord>;
}

export function newVoice(): Voice {
  let spoken = 0;
  let sentenceEnded = false;

  function voiced(text: string): VoicedWord {
    const sounds = [OPENING, ...Array.from(new TextEncoder().encode(text), symbol), CLOSING];
    const wordSamples = sounds.reduce((sum, sound) => sum + sound.audio.length, 0);
    const pause = sentenceEnded ? PAUSE_SAMPLES : 0;
    const audio = new Uint8Array(pause + wordSamples + GAP_SAMPLES).fill(SILENCE);
    let at = pause;
    for (const sound of sounds) {
      audio.set(sound.audio, at);
      at += sound.audio.length;
    }
    const word = {
      text,
      startMs: (spoken + pause) / BYTES_PER_MS,
      endMs: (spoken + pause + wordSamples) / BYTES_PER_MS,
    };
    spoken += audio.length;
    sentenceEnded = SENTENCE_END.test(text);
    return { word, audio };
  }

  return {
    *say(text) {
      for (const word of text.toWellFormed().split(/\s+/u)) if (word !== "") yield voiced(word);
    },
  };
}

/** All of `text` as audio, with the times of its words. */
export function speak(
  text: string,
): { readonly audio: Uint8Array<ArrayBuffer>; readonly words: readonly SpokenWord[] } {
  const said = [...newVoice().say(text)];
  const audio = new Uint8Array(said.reduce((sum, part) => sum + part.audio.length, 0));
  let at = 0;
  for (const part of said) {
    audio.set(part.audio, at);
    at += part.audio.length;
  }
  return { audio, words: said.map((part) => part.word) };
}

/** What a decoder hears. Samples count from its first; an end is the sample after the last. */
export type Heard =
  /** A word has begun. */
  | { readonly type: "opened"; readonly startSample: number }
  /** It was heard whole. */
  | {
    readonly type: "word";
    readonly text: string;
    readonly startSample: number;
    readonly endSample: number;
  }
  /** It broke off. `text` is what it had come to, `endSample` the end of its last whole sound. */
  | {
    readonly type: "cut";
    readonly text: string;
    readonly startSample: number;
    readonly endSample: number;
  };

/** Hears simulated speech in µ-law audio of any chunking; holds at most HELD_MAX bytes of it. */
export interface Decoder {
  /** Takes the audio that comes next and says what was heard in it. */
  push(audio: Uint8Array): readonly Heard[];
  /** The audio is over: a word that has not ended is cut. */
  end(): readonly Heard[];
  /** Null within a word, else the sample up to which it is known that no word has begun. */
  quietUntil(): number | null;
}

const HELD_MAX = 4096;
/** More than a symbol's last samples that may be cut unnoticed: there the next word may have begun. */
const REVIEWED_SAMPLES = 64;
/** How many of a closing's last samples are compared one by one. */
const EDGE_SAMPLES = 8;
const NOTHING: readonly Heard[] = [];

export function newDecoder(): Decoder {
  const held = new Uint8Array(HELD_MAX);
  let length = 0; // of what is held
  let at = 0; // the first that has not been understood
  let forgotten = 0; // samples before those held
  let word: { readonly startSample: number; readonly bytes: number[] } | null = null;

  /** The next thing in what is held; null when that takes more audio. */
  function hear(): Heard | null {
    return word ? read(word) : seek();
  }

  /** Looks for the opening of a word. */
  function seek(): Heard | null {
    for (; at + OPENING.audio.length <= length; at++) {
      if (!matches(held, at, OPENING)) continue;
      word = { startSample: forgotten + at, bytes: [] };
      at += OPENING.audio.length;
      return { type: "opened", startSample: word.startSample };
    }
    while (at < length && isSilent(held[at])) at++; // no word starts with a zero
    return null;
  }

  /** Reads on in a word. */
  function read(begun: NonNullable<typeof word>): Heard | null {
    while (at + CLOSING.audio.length <= length) {
      if (isClosing(held, at)) {
        at += CLOSING.audio.length;
        return finish(begun, "word");
      }
      if (at + SYMBOL_SAMPLES > length) return null;
      const byte = likeliestByte(held, at);
      if (!matches(held, at, symbol(byte))) {
        const cut = finish(begun, "cut");
        at -= REVIEWED_SAMPLES; // never as far back as the word's own opening
        return cut;
      }
      begun.bytes.push(byte);
      at += SYMBOL_SAMPLES;
    }
    return null;
  }

  function finish(begun: NonNullable<typeof word>, type: "word" | "cut"): Heard {
    word = null;
    const { startSample, bytes } = begun;
    return { type, text: textOf(bytes), startSample, endSample: forgotten + at };
  }

  /** Makes room: all but what a cut would bring back to be sought again is forgotten. */
  function forget(): void {
    const from = Math.max(0, at - REVIEWED_SAMPLES);
    held.copyWithin(0, from, length);
    forgotten += from;
    length -= from;
    at -= from;
  }

  return {
    push(audio) {
      let taken = 0;
      if (word === null && at === length) {
        while (taken < audio.length && isSilent(audio[taken])) taken++;
        forgotten += at + taken;
        at = length = 0;
      }
      if (taken === audio.length) return NOTHING;
      const found: Heard[] = [];
      while (taken < audio.length) {
        if (length + audio.length - taken > HELD_MAX) forget();
        const part = audio.subarray(taken, taken + HELD_MAX - length);
        held.set(part, length);
        length += part.length;
        taken += part.length;
        for (let next = hear(); next; next = hear()) found.push(next);
      }
      return found;
    },
    end() {
      const found = word ? [finish(word, "cut")] : NOTHING;
      at = length;
      return found;
    },
    quietUntil: () => word ? null : forgotten + at,
  };
}

/** A word that was heard, or the part of one that was. */
export interface HeardWord {
  readonly text: string;
  readonly startSample: number;
  /** The sample after its last; of a cut word, after its last whole sound. */
  readonly endSample: number;
  /** True when its last sample was heard. */
  readonly complete: boolean;
}

/** The words in a whole recording. */
export function heardWords(audio: Uint8Array): HeardWord[] {
  const decoder = newDecoder();
  const words: HeardWord[] = [];
  for (const heard of [...decoder.push(audio), ...decoder.end()]) {
    if (heard.type === "opened") continue;
    const { type, ...word } = heard;
    words.push({ ...word, complete: type === "word" });
  }
  return words;
}

/** Is `sound` what starts at `from`? On a clean line this compares bytes and no more. */
function matches(audio: Uint8Array, from: number, sound: Sound): boolean {
  let error = 0;
  for (let i = 0; i < sound.audio.length; i++) {
    const heard = audio[from + i] ?? 0;
    const meant = sound.audio[i] ?? 0;
    if (heard === meant) continue;
    error += ((LEVELS[heard] ?? 0) - (LEVELS[meant] ?? 0)) ** 2;
    if (error > sound.tolerance) return false;
  }
  return true;
}

/** Is there a closing at `from`, to its last sample? */
function isClosing(audio: Uint8Array, from: number): boolean {
  if (!matches(audio, from, CLOSING)) return false;
  for (let i = CLOSING.audio.length - EDGE_SAMPLES; i < CLOSING.audio.length; i++) {
    const error = (LEVELS[audio[from + i] ?? 0] ?? 0) - (LEVELS[CLOSING.audio[i] ?? 0] ?? 0);
    if (Math.abs(error) > EDGE_TOLERANCE) return false;
  }
  return true;
}

/** 0xFF and 0x7F are the two zeros of µ-law. */
function isSilent(byte: number | undefined): boolean {
  return byte === 0xff || byte === 0x7f;
}

function textOf(bytes: readonly number[]): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}
