/** Several voices as one: where one falls silent the next says the rest, from the first word that has no sound. */

import { type AsyncQueue, newAsyncQueue } from "@/lib/async_queue.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { providerError } from "@/lib/providers/http.ts";
import {
  type HeldVoice,
  holdVoice,
  type Speech,
  type SpokenWord,
  type SynthesisOptions,
  type TextToSpeech,
} from "@/lib/providers/tts/tts.ts";
import { type Guarded, mayHelp, note } from "./guarded.ts";

/** From the first words to the first sound of them. */
export const FIRST_BYTE_MS = 1_000;
/** Without enough sound, and without new words, while words wait for theirs. Voices hold a clause back for its end. */
export const GAP_MS = 1_500; // with the next voice's first sound below the call's limit for a silent line, 3 s
/** Less sound than this in that time is none. */
const LEAST_BYTES = 100 * BYTES_PER_MS;
const LOOK_MS = 100;
/** Sound that a text can have at the most: more is noise, or an answer without end. The slowest speak a letter in 250 ms. */
const SOUND_MAX_MS = 5_000;
const LETTER_MAX_MS = 300;
/** A voice may tell of a clause's last word only with what follows it. */
const UNTOLD_WORDS = 1;
const ATTEMPTS_MAX = 3;
/** After so long without a sound nobody else is asked: within 3 s a call takes the line for dead, and knows no reason. */
const SILENCE_MAX_MS = 1_800;
/** What is left of this after one silence is all that the next voice gets. */
const SILENCE_END_MS = 2_300;
/** Clauses of one utterance. */
const CLAUSES_MAX = 1_000;

export interface VoiceFailoverOptions {
  readonly clock: Clock;
  /** In their order; at least one, which is asked again when it is the only one. */
  readonly voices: readonly Guarded<TextToSpeech>[];
  /** In place of FIRST_BYTE_MS, for voices that think first. */
  readonly firstByteMs?: number;
}

/** Held, the first voice is held at once, and another from when it is first asked. */
export function failoverVoice(
  { clock, voices, firstByteMs = FIRST_BYTE_MS }: VoiceFailoverOptions,
): TextToSpeech {
  const provider = voices.map(({ provider }) => provider.provider).join("+");

  async function* synthesize(
    text: AsyncIterable<string>,
    options: SynthesisOptions,
    signal: AbortSignal,
    speaking: (nth: number, options: SynthesisOptions) => TextToSpeech,
  ): AsyncGenerator<Speech> {
    const script = read(text);
    let spoken = 0; // words given out, with their sound
    let audioBytes = 0;
    let failure: unknown = unavailable();
    let last = -1;
    let silentMs = 0; // that words have waited, one voice after the other
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const nth = choose(voices, last);
      if (nth === null) break;
      last = nth;
      const { provider, breaker } = voices[nth] as Guarded<TextToSpeech>; // it was just found there
      const stop = new AbortController();
      const either = AbortSignal.any([signal, stop.signal]);
      const fromMs = audioBytes / BYTES_PER_MS;
      const waiting: SpokenWord[] = [];
      try {
        // Voices are the provider's own: another one has none of that name.
        const isOther = provider.provider !== voices[0]?.provider.provider;
        const spokenAs = isOther ? { ...options, voice: null } : options;
        const voice = speaking(nth, spokenAs);
        const pieces = voice.synthesize(script.from(spoken), spokenAs, either);
        const timing = {
          clock,
          script,
          stop,
          provider,
          firstByteMs,
          sounded: () => spoken,
          patienceMs: () => SILENCE_END_MS - silentMs,
          waited: (ms: number) => void (silentMs += ms),
        };
        for await (const piece of inTime(pieces, timing)) {
          if (piece.type === "words") {
            waiting.push(...piece.words.map((word) => moved(word, fromMs)));
            continue;
          }
          audioBytes += piece.audio.length;
          const due = waiting.findIndex(({ endMs }) => endMs > audioBytes / BYTES_PER_MS);
          const words = waiting.splice(0, due === -1 ? waiting.length : due);
          if (words.length > 0) {
            silentMs = 0;
            yield { type: "words", words };
          }
          spoken += words.length;
          yield piece;
        }
        if (waiting.length > 0) yield { type: "words", words: waiting };
        breaker.succeeded();
        return;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        failure = error;
        note(breaker, error);
        if (silentMs > SILENCE_MAX_MS) throw silence(silentMs, error);
        if (!mayHelp(error, attempts + 1 === ATTEMPTS_MAX)) break;
      } finally {
        stop.abort();
      }
    }
    throw failure;
  }

  const voiceAt = (nth: number): TextToSpeech => (voices[nth] as Guarded<TextToSpeech>).provider; // one that was chosen

  return {
    provider,
    synthesize: (text, options, signal) => synthesize(text, options, signal, voiceAt),
    hold(first) {
      const held = new Map<number, HeldVoice>();
      const heldAt = (nth: number, how: SynthesisOptions): HeldVoice => {
        const voice = held.get(nth) ?? holdVoice(voiceAt(nth), how);
        held.set(nth, voice);
        return voice;
      };
      heldAt(0, first);
      return {
        provider,
        synthesize: (text, options, signal) => synthesize(text, options, signal, heldAt),
        release() {
          for (const voice of held.values()) voice.release();
        },
      };
    },
  };
}

function choose(voices: readonly Guarded<TextToSpeech>[], after: number): number | null {
  for (let step = 1; step <= voices.length; step++) {
    const nth = (after + step) % voices.length;
    if (voices[nth]?.breaker.take()) return nth;
  }
  return null;
}

function moved(word: SpokenWord, byMs: number): SpokenWord {
  return { ...word, startMs: word.startMs + byMs, endMs: word.endMs + byMs };
}

interface Script {
  /** True when no more of it comes. */
  readonly hasEnded: boolean;
  readonly words: number;
  readonly letters: number;
  /** Its clauses without the first so many words, as they come. */
  from(word: number): AsyncIterable<string>;
}

/** Reads the text once, for whoever comes to say it. */
function read(text: AsyncIterable<string>): Script {
  const clauses: string[] = [];
  const readers = new Set<AsyncQueue<string>>();
  let hasEnded = false;
  let words = 0;
  let letters = 0;
  void (async () => {
    try {
      for await (const clause of text) {
        clauses.push(clause);
        words += wordsOf(clause).length;
        letters += clause.length;
        for (const reader of readers) reader.push(clause);
      }
    } finally {
      hasEnded = true;
      for (const reader of readers) reader.end();
    }
  })().catch(() => {}); // who gives the text to be said does not fail; if it did, it is over

  return {
    get hasEnded() {
      return hasEnded;
    },
    get words() {
      return words;
    },
    get letters() {
      return letters;
    },
    from(word) {
      const reader = newAsyncQueue<string>(CLAUSES_MAX);
      const rest = clauses.flatMap(wordsOf).slice(word).join(" ");
      if (rest !== "") reader.push(word === 0 ? clauses.join("") : rest);
      if (hasEnded) reader.end();
      else readers.add(reader);
      return reader;
    },
  };
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

interface Timing {
  readonly clock: Clock;
  readonly script: Script;
  readonly stop: AbortController;
  readonly provider: TextToSpeech;
  readonly firstByteMs: number;
  /** Words of the script whose sound has been given out. */
  sounded(): number;
  /** What may still be waited for. */
  patienceMs(): number;
  /** Told before it fails: for how long words have waited. */
  waited(ms: number): void;
}

/** The pieces, or a failure once words have waited too long for their sound. */
async function* inTime(
  pieces: AsyncIterable<Speech>,
  { clock, script, stop, provider, firstByteMs, sounded, patienceMs, waited }: Timing,
): AsyncGenerator<Speech> {
  const iterator = pieces[Symbol.asyncIterator]();
  let bytes = 0;
  /** How things stood when the wait began, or last went on; null while nothing is waited for. */
  let since: { readonly at: number; readonly bytes: number; readonly words: number } | null = null;
  let cancel: Cancel = () => {};
  const late = new Promise<IteratorResult<Speech, void>>((resolve, reject) => {
    const look = (): void => {
      const { words } = script;
      const left = words - sounded();
      // Once all has been given, a voice has nothing more to hold back for, and is to end.
      const isWaiting = script.hasEnded || left > (bytes === 0 ? 0 : UNTOLD_WORDS);
      const goesOn = since === null || words > since.words || bytes - since.bytes >= LEAST_BYTES;
      if (!isWaiting) since = null;
      else if (goesOn) since = { at: clock.now(), bytes, words };
      const limitMs = Math.min(bytes === 0 ? firstByteMs : GAP_MS, patienceMs());
      if (since === null || clock.now() - since.at < limitMs) {
        return void (cancel = clock.timer(LOOK_MS, look));
      }
      if (left <= 0) return resolve({ done: true, value: undefined });
      waited(limitMs);
      const error = providerError(provider.provider, `no sound came within ${limitMs} ms`);
      stop.abort(error);
      reject(error);
    };
    look();
  });
  late.catch(() => {});
  try {
    for (;;) {
      const { done, value } = await Promise.race([iterator.next(), late]);
      if (done) return;
      if (value.type === "audio") bytes += value.audio.length;
      const mostMs = SOUND_MAX_MS + script.letters * LETTER_MAX_MS;
      if (bytes > mostMs * BYTES_PER_MS) {
        throw providerError(provider.provider, `it spoke for over ${mostMs} ms`);
      }
      yield value;
    }
  } finally {
    cancel();
  }
}

/** Whoever is asked again only lengthens it. */
function silence(ms: number, cause: unknown): AppError {
  return new AppError("provider_failed", `No voice has said a word for ${ms} ms`, {
    retryable: false,
    cause,
  });
}

function unavailable(): AppError {
  return new AppError("provider_failed", "No voice can be asked now: all have failed", {
    retryable: true,
  });
}
