/**
 * Word times for a voice that gives none: by letters, from the length of each clause once it is known.
 *
 * A time must not be earlier than the truth, or a word counts as heard that was not, and a word must
 * be told before its audio is passed on. So a clause's audio is held back until its end is known, but
 * for what a listener needs to go on hearing: voices speak faster than they are listened to.
 */

import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS } from "@/lib/audio/frame.ts";
import type { Clock } from "@/lib/clock.ts";
import type { Speech, SpokenWord } from "./tts.ts";

/** Audio that is always passed on beyond what has been listened to: a playout's lead, and as much again. */
const AHEAD_MS = 500;
/** A slow talker, where the clause's end is not known: usual is 65 ms a letter. */
const SLOW_LETTER_MS = 100;
/** Silence that a voice may begin a clause with. */
const SLOW_START_MS = 200;

export interface Pacer {
  /** Words of the clause that is being written, in order. */
  expect(words: readonly string[]): void;
  /** That clause is whole. */
  endClause(): void;
  /** Audio of the oldest clause that has not ended. */
  audio(audio: Uint8Array): Speech[];
  /** All audio of that clause has come. Null: it had words and no audio. */
  clauseEnded(): Speech[] | null;
}

interface PendingWord {
  readonly text: string;
  /** Letters of its clause up to its end, a space for each word before it included. */
  readonly letters: number;
}

export function newPacer(clock: Clock): Pacer {
  const clauses: PendingWord[][] = [[]]; // the last is being written, the first being spoken
  let held: Uint8Array[] = [];
  let heldMs = 0;
  let writtenLetters = -1; // of the clause that is being written; the first word has no space before it
  let passedMs = 0;
  let clauseStartMs = 0;
  let toldMs = 0; // where the last word that was told ends
  let startedAt: number | null = null; // when the listener began, had it heard without a gap

  function spoken(word: PendingWord, endMs: number): SpokenWord {
    const startMs = toldMs;
    toldMs = Math.max(toldMs, endMs);
    return { text: word.text, startMs, endMs: toldMs };
  }

  /** Passes audio on; `words` end in it or later. */
  function pass(audio: Uint8Array, words: readonly SpokenWord[]): Speech[] {
    passedMs += audio.length / BYTES_PER_MS;
    const speech: Speech[] = words.length > 0 ? [{ type: "words", words }] : [];
    if (audio.length > 0) speech.push({ type: "audio", audio });
    return speech;
  }

  /** Words that a slow talker would have ended before `untilMs`. */
  function slowWords(untilMs: number): SpokenWord[] {
    const words: SpokenWord[] = [];
    const pending = clauses[0] ?? [];
    for (let word = pending[0]; word !== undefined; word = pending[0]) {
      const endMs = clauseStartMs + SLOW_START_MS + word.letters * SLOW_LETTER_MS;
      if (endMs > untilMs) break;
      words.push(spoken(word, Math.max(endMs, passedMs + 1)));
      pending.shift();
    }
    return words;
  }

  /** How much of what is held the listener needs now. */
  function neededMs(): number {
    const now = clock.now();
    startedAt ??= now;
    if (now - startedAt > passedMs) startedAt = now - passedMs; // it fell silent for a while
    return AHEAD_MS - (passedMs - (now - startedAt));
  }

  /** At most `ms` of what is held, but never the very last frame: its words may not have been told. */
  function takeHeld(ms: number): Uint8Array | null {
    const [next, ...rest] = held;
    if (next === undefined) return null;
    const most = rest.length > 0 ? next.length : next.length - FRAME_BYTES;
    const bytes = Math.min(Math.ceil(ms / FRAME_MS) * FRAME_BYTES, most);
    if (bytes <= 0) return null;
    held = bytes < next.length ? [next.subarray(bytes), ...rest] : rest;
    heldMs -= bytes / BYTES_PER_MS;
    return next.subarray(0, bytes);
  }

  return {
    expect(words) {
      for (const text of words) {
        writtenLetters += 1 + text.length;
        clauses.at(-1)?.push({ text, letters: writtenLetters });
      }
    },
    endClause() {
      clauses.push([]);
      writtenLetters = -1;
    },
    audio(audio) {
      held.push(audio);
      heldMs += audio.length / BYTES_PER_MS;
      const speech: Speech[] = [];
      for (let needed = neededMs(); needed > 0; needed = neededMs()) {
        const next = takeHeld(needed);
        if (next === null) break;
        speech.push(...pass(next, slowWords(passedMs + next.length / BYTES_PER_MS)));
      }
      return speech;
    },
    clauseEnded() {
      const pending = clauses.shift() ?? [];
      const endMs = passedMs + heldMs;
      if (pending.length > 0 && endMs === clauseStartMs) return null;
      // A word ends, at the latest, where by its share of the letters the next one would.
      const letters = pending.at(-1)?.letters ?? 1;
      const words = pending.map((word, i) => {
        const share = (pending[i + 1]?.letters ?? letters) / letters;
        const latestMs = clauseStartMs + (endMs - clauseStartMs) * share;
        return spoken(word, Math.min(endMs, Math.max(latestMs, passedMs + 1)));
      });
      clauseStartMs = endMs;
      const speech = words.length > 0 ? pass(new Uint8Array(), words) : [];
      for (const audio of held) speech.push(...pass(audio, []));
      held = [];
      heldMs = 0;
      return speech;
    },
  };
}
