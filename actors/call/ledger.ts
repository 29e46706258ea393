/**
 * What the caller heard of an utterance, to the word: from the carrier's marks, and nothing else.
 *
 * A mark stands behind the first frame of an utterance, at the end of each word, and at the end of all.
 * Until a `clear` is sent, a mark that comes back proves that everything before it has played. After it,
 * the carrier returns the marks it dropped as well, at one instant, and last of them the mark that was
 * sent right before the `clear`; those that had played may still be on their way. A mark that comes back after the
 * `clear` has played if the carrier sent caller audio between it and the `clear`'s own mark, or if it came
 * sooner than that mark by more than the line's delay varies. Of any other nothing is known, and its word
 * does not count: what the caller did not hear must not be taken as heard.
 */

import { FRAME_BYTES } from "@/lib/audio/frame.ts";
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
  /** What stands on record of it; null while nothing does. */
  readonly onRecord: { readonly words: number; readonly at: number } | null;
  /** Marks of words that came back after a `clear` was sent. */
  readonly late: readonly LateMark[];
  /** Its first audio is silent for so long. */
  readonly leadMs: number;
  /** The silence before it, once it is audible; null when the caller had asked nothing. */
  readonly gap: Gap | null;
  /** When its first audible sample played; null until it did. */
  readonly audibleAt: number | null;
  /** When a `clear` was sent; null while there was no need. */
  readonly cutAt: number | null;
  /** True when nothing more will be learnt of it. */
  readonly isSettled: boolean;
}

/** How a mark came in. */
export interface MarkArrival {
  /** Milliseconds on the system's clock. */
  readonly at: number;
  /** Frames of caller audio that had come in before it on the same socket. */
  readonly frames: number;
  /** How much the line's delay has varied lately. */
  readonly jitterMs: number;
}

interface LateMark {
  readonly index: number;
  readonly arrival: MarkArrival;
}

/** What a mark stands for. */
export type MarkPlace =
  | { readonly type: "start" }
  | { readonly type: "word"; readonly index: number }
  | { readonly type: "end" }
  /** Inside of a long word: a sign that the carrier plays. */
  | { readonly type: "tick"; readonly index: number }
  | { readonly type: "cut" };

/** `3:start`, `3:w12`, `3:t2`, `3:end`; `3:cut` is sent right behind a `clear`. */
export function markName(generation: number, place: MarkPlace): string {
  const { type } = place;
  return `${generation}:${type === "word" || type === "tick" ? `${type[0]}${place.index}` : type}`;
}

/** Null for a name that is none of ours. */
export function parseMark(name: string): { generation: number; place: MarkPlace } | null {
  const found = /^(\d{1,9}):(?:(start|end|cut)|([wt])(\d{1,6}))$/.exec(name);
  if (found === null) return null;
  const generation = Number(found[1]);
  switch (found[2]) {
    case "start":
    case "end":
    case "cut":
      return { generation, place: { type: found[2] } };
    default: {
      const type = found[3] === "t" ? "tick" : "word";
      return { generation, place: { type, index: Number(found[4]) } };
    }
  }
}

export function newUtterance(generation: number, turn: number): Utterance {
  return {
    generation,
    turn,
    words: [],
    heardCount: 0,
    onRecord: null,
    late: [],
    leadMs: 0,
    gap: null,
    audibleAt: null,
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

/** A mark of this utterance came in. */
export function takeMark(utterance: Utterance, place: MarkPlace, arrival: MarkArrival): Utterance {
  if (utterance.isSettled) return utterance;
  const { cutAt } = utterance;
  switch (place.type) {
    case "start":
    case "tick":
      return utterance;
    case "cut":
      return settle(countLate(utterance, arrival));
    case "end":
      return cutAt === null ? settle(utterance) : utterance; // a `clear` returns it early
    case "word": {
      const { index } = place;
      if (cutAt === null || arrival.at < cutAt) return count(utterance, index);
      return { ...utterance, late: [...utterance.late, { index, arrival }] };
    }
  }
}

/** The words up to this one have been heard. */
function count(utterance: Utterance, index: number): Utterance {
  if (index >= utterance.words.length) return utterance;
  return { ...utterance, heardCount: Math.max(utterance.heardCount, index + 1) };
}

/** Fractional milliseconds do not add up exactly: far below a sample, far above the error. */
const ROUNDING_MS = 1e-6;

function countLate(utterance: Utterance, cut: MarkArrival): Utterance {
  return utterance.late
    .filter(({ arrival: { at, frames } }) =>
      frames < cut.frames || at < cut.at - cut.jitterMs - ROUNDING_MS
    )
    .reduce((counted, { index }) => count(counted, index), utterance);
}

/** The words heard, joined by spaces. */
export function heardOf(utterance: Utterance): string {
  return utterance.words.slice(0, utterance.heardCount).map((word) => word.text).join(" ");
}
