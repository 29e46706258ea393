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
    const rest = utterance.bargedIn ? wordsOf(utterance.unheard) : [];
    const beyond = continued(played.slice(at), rest, wordsOf(nextText(stored, nth)));
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

/**
 * How many of the played words belong to the rest of an utterance that was cut: as few as let the next
 * utterance begin behind them, since both may begin with the same word.
 */
function continued(
  played: readonly PlayedWord[],
  rest: readonly string[],
  next: readonly string[],
): number {
  let most = 0;
  while (most < rest.length && played[most]?.text === rest[most]) most++;
  for (let count = 0; count < most; count++) {
    if (next.length > 0 && next.every((word, at) => played[count + at]?.text === word)) {
      return count;
    }
  }
  return most;
}

function nextText(stored: readonly StoredUtterance[], nth: number): string {
  return stored.slice(nth + 1).find(({ text }) => text !== "")?.text ?? "";
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
