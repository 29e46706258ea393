/** A voice that knows some sentences beforehand: recorded ones it plays, fixed ones it says on their own, so that their speech can be kept. */

import { type AsyncQueue, newAsyncQueue } from "@/lib/async_queue.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { wordsOf } from "@/lib/providers/tts/words.ts";
import {
  holdVoice,
  type Speech,
  type SpokenWord,
  type SynthesisOptions,
  type TextToSpeech,
} from "@/lib/providers/tts/tts.ts";
import { untilAborted } from "@/lib/until_aborted.ts";

export interface KnownSentences {
  /** Word for word as they are said. */
  readonly fixed: ReadonlySet<string>;
  readonly clips: readonly Clip[];
}

/** A recorded sentence, or part of one: wherever the agent says these words, it is played. */
export interface Clip {
  readonly text: string;
  /** µ-law. Null: it is not to be had, and its words are spoken. */
  audio(signal: AbortSignal): Promise<Uint8Array | null>;
}

/** Clauses of one utterance. */
const CLAUSES_MAX = 1_000;

type Part =
  /** As it is written: more of it may come. */
  | { readonly type: "live"; readonly text: AsyncQueue<string> }
  | { readonly type: "fixed"; readonly text: string }
  | { readonly type: "clip"; readonly text: string; readonly clip: Clip };

/** A part whose text is all there. */
type Segment =
  | { readonly type: "live"; readonly text: string }
  | Exclude<Part, { type: "live" }>;

/** Parts follow each other without a gap: what comes behind a part is asked for while that is played. */
export function withKnown(voice: TextToSpeech, known: KnownSentences): TextToSpeech {
  /** All of it at once, in the voice. */
  function speak(
    text: string,
    options: SynthesisOptions,
    signal: AbortSignal,
  ): AsyncIterable<Speech> {
    return voice.synthesize(once(text), { ...options, isFixed: true }, signal);
  }

  async function* play(
    { text, clip }: Extract<Part, { type: "clip" }>,
    options: SynthesisOptions,
    signal: AbortSignal,
  ): AsyncGenerator<Speech> {
    const audio = await clip.audio(signal);
    signal.throwIfAborted();
    if (audio === null || audio.length === 0) return yield* speak(text, options, signal);
    yield { type: "words", words: timed(wordsOf(text), audio.length / BYTES_PER_MS) };
    yield { type: "audio", audio };
  }

  async function* synthesize(
    text: AsyncIterable<string>,
    options: SynthesisOptions,
    signal: AbortSignal,
  ): AsyncGenerator<Speech> {
    const left = new AbortController();
    const either = AbortSignal.any([signal, left.signal]);
    let bytes = 0;
    try {
      for await (const part of untilAborted(partsOf(text, known, either), either)) {
        const fromMs = bytes / BYTES_PER_MS;
        for await (const speech of say(part, options, either)) {
          if (speech.type === "audio") bytes += speech.audio.length;
          yield fromMs === 0 || speech.type === "audio" ? speech : moved(speech.words, fromMs);
        }
      }
    } finally {
      left.abort();
    }
  }

  function say(part: Part, options: SynthesisOptions, signal: AbortSignal): AsyncIterable<Speech> {
    switch (part.type) {
      case "live":
        return voice.synthesize(part.text, options, signal);
      case "fixed":
        return speak(part.text, options, signal);
      case "clip":
        return play(part, options, signal);
    }
  }

  return {
    provider: voice.provider,
    synthesize,
    hold(first) {
      const held = holdVoice(voice, first);
      return { ...withKnown(held, known), release: held.release };
    },
  };
}

/** The text's parts as they come: a live one is given out with its first clause, and goes on. */
function partsOf(
  text: AsyncIterable<string>,
  known: KnownSentences,
  signal: AbortSignal,
): AsyncIterable<Part> {
  const parts = newAsyncQueue<Part>(CLAUSES_MAX);
  let live: AsyncQueue<string> | null = null;
  let failure: { readonly error: unknown } | null = null;

  function take(segment: Segment): void {
    if (segment.type !== "live") {
      live?.end();
      live = null;
      return void parts.push(segment);
    }
    if (live === null) {
      live = newAsyncQueue<string>(CLAUSES_MAX);
      parts.push({ type: "live", text: live });
    }
    live.push(segment.text);
  }

  async function route(): Promise<void> {
    try {
      for await (const piece of untilAborted(text, signal)) {
        for (const segment of segmentsOf(piece, known)) take(segment);
      }
    } catch (error) {
      failure = { error };
    }
    live?.end();
    parts.end();
  }

  async function* given(): AsyncGenerator<Part> {
    void route();
    yield* parts;
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
  }

  return given();
}

/** A piece of text cut at the clips that it holds; what is left of a fixed one is fixed. */
export function segmentsOf(piece: string, { fixed, clips }: KnownSentences): Segment[] {
  const type: "fixed" | "live" = fixed.has(piece.trim()) ? "fixed" : "live";
  const words = wordsOf(piece);
  const segments: Segment[] = [];
  let from = 0;
  for (let at = 0; at < words.length;) {
    const clip = clips.find(({ text }) => startsWith(words, at, wordsOf(text)));
    if (clip === undefined) {
      at++;
      continue;
    }
    if (at > from) segments.push({ type, text: words.slice(from, at).join(" ") });
    segments.push({ type: "clip", text: clip.text, clip });
    at += wordsOf(clip.text).length;
    from = at;
  }
  if (from === 0) return words.length === 0 ? [] : [{ type, text: piece }];
  if (from < words.length) segments.push({ type, text: words.slice(from).join(" ") });
  return segments;
}

function startsWith(words: readonly string[], at: number, other: readonly string[]): boolean {
  return other.length > 0 && other.every((word, nth) => words[at + nth] === word);
}

/**
 * Words over a recording, by letters. When each ends is a guess, and must not be one that is too early:
 * a word counts as said where the next one would have been.
 */
function timed(words: readonly string[], durationMs: number): SpokenWord[] {
  const ends: number[] = [];
  let letters = 0;
  for (const word of words) ends.push(letters += word.length + 1);
  const msOf = (nth: number): number => (ends[nth] ?? letters) / letters * durationMs;
  return words.map((text, nth) => ({
    text,
    startMs: nth === 0 ? 0 : msOf(nth),
    endMs: msOf(nth + 1),
  }));
}

function moved(words: readonly SpokenWord[], byMs: number): Speech {
  return {
    type: "words",
    words: words.map((word) => ({
      ...word,
      startMs: word.startMs + byMs,
      endMs: word.endMs + byMs,
    })),
  };
}

async function* once(text: string): AsyncGenerator<string> {
  yield await Promise.resolve(`${text} `);
}
