/** Holds a stored transcript against what the caller's own ears heard, word by word. */

import { heardWords } from "@/lib/audio/modem.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { MediaStream } from "./twilio_media.ts";

/** What the transcript says of one utterance of the agent. */
export interface StoredUtterance {
  readonly text: string;
  readonly unheard: string;
  readonly bargedIn: boolean;
}

/** A word whose last sample was played, and when: milliseconds on the carrier's clock. */
export interface PlayedWord {
  readonly text: string;
  readonly endedAtMs: number;
  /** Silence within it, since its audio came later than it was to be played. */
  readonly holeMs: number;
}

export interface Comparison {
  /** Words in the transcript that the caller did not hear. */
  readonly extra: readonly string[];
  /** Words that the caller heard and the transcript has not. */
  readonly missing: readonly PlayedWord[];
  /** Those of `missing` that ended while a `clear` was on its way to the carrier. */
  readonly missingInFlight: readonly PlayedWord[];
  /** What the caller heard of each stored utterance. */
  readonly heard: readonly string[];
}

/** When a `clear` left us, and when the carrier acted on it. */
export interface ClearFlight {
  readonly sentAtMs: number;
  readonly actedAtMs: number;
}

/**
 * The words that the carrier played to their last sample. One with a hole in it was heard: a machine that is
 * short of processors sends too late now and then, and a listener understands a word that halts.
 */
export function playedWords({ player }: Pick<MediaStream, "player">): PlayedWord[] {
  const pieces = player.pieces();
  const starts: number[] = [];
  let length = 0;
  for (const { audio } of pieces) {
    starts.push(length);
    length += audio.length;
  }
  const audio = new Uint8Array(length);
  pieces.forEach((piece, i) => audio.set(piece.audio, starts[i]));

  /** When the sample was played that is the nth of all pieces together. */
  function playedAtMs(sample: number): number {
    const i = starts.findLastIndex((start) => start <= sample);
    return (pieces[i]?.atMs ?? 0) + (sample - (starts[i] ?? 0)) / BYTES_PER_MS;
  }

  return heardWords(audio).filter((word) => word.complete).map(
    ({ text, startSample, endSample }) => {
      const lastMs = playedAtMs(endSample - 1);
      const lengthMs = (endSample - 1 - startSample) / BYTES_PER_MS;
      return {
        text,
        endedAtMs: lastMs + 1 / BYTES_PER_MS,
        holeMs: Math.round(lastMs - playedAtMs(startSample) - lengthMs),
      };
    },
  );
}

/**
 * Walks both in order. Behind an utterance that was cut, heard words that continue it are its missing
 * ones; everything else that does not agree is extra or missing without excuse.
 */
export function compareHeard(
  stored: readonly StoredUtterance[],
  played: readonly PlayedWord[],
  flights: readonly ClearFlight[],
): Comparison {
  const extra: string[] = [];
  const missing: PlayedWord[] = [];
  const heard: string[] = [];
  let at = 0;
  stored.forEach((utterance, nth) => {
    const from = at;
    for (const word of wordsOf(utterance.text)) {
      if (played[at]?.text === word) at++;
      else extra.push(word);
    }
    const beyond = beyondCut(played, at, stored, nth);
    missing.push(...played.slice(at, at + beyond));
    at += beyond;
    heard.push(played.slice(from, at).map((word) => word.text).join(" "));
  });
  missing.push(...played.slice(at));
  const inFlight = (word: PlayedWord): boolean =>
    flights.some(({ sentAtMs, actedAtMs }) =>
      sentAtMs < word.endedAtMs && word.endedAtMs <= actedAtMs
    );
  return { extra, missing, missingInFlight: missing.filter(inFlight), heard };
}

/** Utterances that are looked ahead at: one may be as short as a word, and begin as the one before went on. */
const AHEAD = 4;

/** How many played words from `at` on belong to the rest of an utterance that was cut: as few as let what follows fit. */
function beyondCut(
  played: readonly PlayedWord[],
  at: number,
  stored: readonly StoredUtterance[],
  nth: number,
): number {
  const most = beyondMost(played, at, stored[nth]);
  for (let count = 0; count < most; count++) {
    if (fits(played, at + count, stored, nth + 1, AHEAD)) return count;
  }
  return most;
}

function beyondMost(
  played: readonly PlayedWord[],
  at: number,
  utterance: StoredUtterance | undefined,
): number {
  const rest = utterance?.bargedIn ? wordsOf(utterance.unheard) : [];
  let most = 0;
  while (most < rest.length && played[at + most]?.text === rest[most]) most++;
  return most;
}

/** True when the words of the next few utterances stand there, each with as much of its rest as it takes. */
function fits(
  played: readonly PlayedWord[],
  from: number,
  stored: readonly StoredUtterance[],
  nth: number,
  ahead: number,
): boolean {
  const utterance = stored[nth];
  if (utterance === undefined) return from === played.length;
  if (ahead === 0) return true;
  const words = wordsOf(utterance.text);
  if (!words.every((word, at) => played[from + at]?.text === word)) return false;
  const at = from + words.length;
  for (let count = beyondMost(played, at, utterance); count >= 0; count--) {
    if (fits(played, at + count, stored, nth + 1, ahead - 1)) return true;
  }
  return false;
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
