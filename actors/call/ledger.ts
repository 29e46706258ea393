/**
 * What the caller heard of an utterance, to the word: from the carrier's marks, and nothing else.
 *
 * A mark stands near the start of an utterance, at the end of each word, and at the end of all. Until a
 * `clear` is sent, a mark that comes back proves that everything before it has played. After it, the
 * carrier returns the marks it dropped as well; those that had played may still be on their way. They are told
 * apart by time: played marks keep the distance of the audio between them to the sample, as long as the
 * line's delay is steady; dropped ones come early, together with the mark sent right behind the `clear`.
 * A mark that keeps no exact distance, early or late, proves nothing, and its word does not count: a
 * dropped mark that jitter has held back must not pass for a played one.
 */

import { BYTES_PER_MS, FRAME_BYTES } from "@/lib/audio/frame.ts";
import type { Gap } from "./gap.ts";

/**
 * The mark of the start stands behind the first frame: one with no audio before it comes back at once,
 * and says neither that the carrier plays nor on which sample it began.
 */
export const START_MARK_BYTE = FRAME_BYTES;

/** A word and the byte of its utterance at which it has been said. */
export interface PlacedWord {
  readonly text: string;
  readonly endByte: number;
}

export interface Utterance {
  /** Generation: numbers the utterances of a call, and names their marks. */
  readonly generation: number;
  /** The turn of the conversation it is. */
  readonly turn: number;
  readonly words: readonly PlacedWord[];
  /** Words at the front of `words` that have been played. */
  readonly heardCount: number;
  /** The latest start that the marks returned so far allow, on our clock; null until one has returned. */
  readonly startedAt: number | null;
  /** Its first audio is silent for so long. */
  readonly leadMs: number;
  /** The silence before it, once it is audible; null when the caller had asked nothing. */
  readonly gap: Gap | null;
  /** When a `clear` was sent; null while there was no need. */
  readonly cutAt: number | null;
  /** True when nothing more will be learnt of it. */
  readonly isSettled: boolean;
}

/** What a mark stands for. */
export type MarkPlace =
  | { readonly type: "start" }
  | { readonly type: "word"; readonly index: number }
  | { readonly type: "end" }
  | { readonly type: "cut" };

/** `3:start`, `3:w12`, `3:end`; `3:cut` is sent right behind a `clear`. */
export function markName(generation: number, place: MarkPlace): string {
  return `${generation}:${place.type === "word" ? `w${place.index}` : place.type}`;
}

/** Null for a name that is none of ours. */
export function parseMark(name: string): { generation: number; place: MarkPlace } | null {
  const found = /^(\d{1,9}):(?:(start|end|cut)|w(\d{1,6}))$/.exec(name);
  if (found === null) return null;
  const generation = Number(found[1]);
  switch (found[2]) {
    case "start":
    case "end":
    case "cut":
      return { generation, place: { type: found[2] } };
    default:
      return { generation, place: { type: "word", index: Number(found[3]) } };
  }
}

export function newUtterance(generation: number, turn: number): Utterance {
  return {
    generation,
    turn,
    words: [],
    heardCount: 0,
    startedAt: null,
    leadMs: 0,
    gap: null,
    cutAt: null,
    isSettled: false,
  };
}

export function placeWords(utterance: Utterance, words: readonly PlacedWord[]): Utterance {
  return { ...utterance, words: [...utterance.words, ...words] };
}

/** A `clear` is being sent at `at`. */
export function cutUtterance(utterance: Utterance, at: number): Utterance {
  return utterance.cutAt === null ? { ...utterance, cutAt: at } : utterance;
}

/** Nothing more will be learnt of it. */
export function settle(utterance: Utterance): Utterance {
  return { ...utterance, isSettled: true };
}

/** A mark of this utterance came in at `at`. */
export function takeMark(utterance: Utterance, place: MarkPlace, at: number): Utterance {
  if (utterance.isSettled) return utterance;
  switch (place.type) {
    case "cut":
      return settle(utterance);
    case "end":
      return utterance.cutAt === null ? settle(utterance) : utterance; // a `clear` returns it early
    case "start": // should a `clear` have dropped it, no word can keep its distance from it
      if (utterance.startedAt !== null) return utterance;
      return { ...utterance, startedAt: at - START_MARK_BYTE / BYTES_PER_MS };
    case "word":
      return takeWordMark(utterance, place.index, at);
  }
}

function takeWordMark(utterance: Utterance, index: number, at: number): Utterance {
  const word = utterance.words[index];
  if (word === undefined) return utterance;
  const start = at - word.endByte / BYTES_PER_MS;
  if (!hasPlayed(utterance, start, at)) return utterance;
  return {
    ...utterance,
    heardCount: Math.max(utterance.heardCount, index + 1),
    startedAt: Math.max(utterance.startedAt ?? start, start),
  };
}

/** Fractional milliseconds do not add up exactly: far below a sample, far above the error. */
const ROUNDING_MS = 1e-6;
/** What came in before the `clear` was sent has played; after it, only what keeps its distance from the marks before. */
function hasPlayed(utterance: Utterance, start: number, at: number): boolean {
  const { cutAt, startedAt } = utterance;
  if (cutAt === null || at < cutAt) return true;
  return startedAt !== null && Math.abs(start - startedAt) <= ROUNDING_MS;
}

/** The words heard, joined by spaces. */
export function heardOf(utterance: Utterance): string {
  return utterance.words.slice(0, utterance.heardCount).map((word) => word.text).join(" ");
}
