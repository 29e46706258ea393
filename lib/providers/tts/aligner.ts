/** Characters' times, as a voice tells them, put together to the times of words. */

import type { SpokenWord } from "./tts.ts";

/** Characters of the text as it was sent, and when each is spoken: milliseconds from the chunk's first sample. */
export interface CharacterTimes {
  readonly chars: readonly string[];
  readonly startMs: readonly number[];
  readonly durationMs: readonly number[];
}

/**
 * Puts characters' times together to words: the words that were sent, in their order. A word may
 * straddle chunks. It is complete with its last character, so that it need not wait for the space
 * behind it; where a provider spells it in another way, with that space.
 */
export function newAligner(): {
  expect(words: readonly string[]): void;
  /** The words that are complete with this chunk, whose audio begins at `atMs`. */
  read(times: CharacterTimes, atMs: number): SpokenWord[];
  /** Words no chunk told of, as spoken until `atMs`. */
  rest(atMs: number): SpokenWord[];
  isWaiting(): boolean;
} {
  const expected: string[] = [];
  let spelt = "";
  let startMs = 0;
  let endMs = 0;

  function complete(): SpokenWord[] {
    spelt = "";
    const text = expected.shift();
    return text === undefined ? [] : [{ text, startMs, endMs }];
  }

  return {
    expect: (words) => void expected.push(...words),
    read({ chars, startMs: starts, durationMs }, atMs) {
      const words: SpokenWord[] = [];
      for (const [i, char] of chars.entries()) {
        if (char.trim() === "") {
          if (spelt !== "") words.push(...complete());
          continue;
        }
        const charStartMs = atMs + (starts[i] ?? 0);
        if (spelt === "") startMs = charStartMs;
        endMs = charStartMs + (durationMs[i] ?? 0);
        spelt += char;
        if (spelt === expected[0]) words.push(...complete());
      }
      return words;
    },
    rest(atMs) {
      return expected.splice(0).map((text) => ({
        text,
        startMs: Math.min(endMs, atMs),
        endMs: atMs,
      }));
    },
    isWaiting: () => expected.length > 0,
  };
}
