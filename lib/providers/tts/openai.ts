/** OpenAI's speech, a streamed request a stretch of text. https://platform.openai.com/docs/api-reference/audio/createSpeech */

import { newAsyncQueue } from "@/lib/async_queue.ts";
import { newDecimator } from "@/lib/audio/decimate.ts";
import { encodeMulaw } from "@/lib/audio/mulaw.ts";
import { newPcmReader } from "@/lib/audio/pcm.ts";
import type { Clock } from "@/lib/clock.ts";
import { limitedFetch, providerError } from "@/lib/providers/http.ts";
import { type OpenAIAccount, openaiClient, openaiFailure } from "@/lib/providers/openai_client.ts";
import { untilAborted } from "@/lib/until_aborted.ts";
import { newPacer } from "./pacer.ts";
import type { TextToSpeech } from "./tts.ts";
import { wordsOf } from "./words.ts";

export interface OpenAISpeechOptions extends OpenAIAccount {
  readonly clock: Clock;
  /** As `gpt-4o-mini-tts`. */
  readonly model: string;
  /** Of agents that name none, as `alloy`. */
  readonly voice: string;
}

const PROVIDER = "openai-speech";
/** Its PCM is 24 kHz, three times a telephone's (platform.openai.com/docs/guides/text-to-speech). */
const FACTOR = 3;
/** Characters of one request. */
const INPUT_MAX = 4_096;
const LIMITS = { headMs: 4_000, idleMs: 4_000, totalMs: 120_000, maxBytes: 24_000_000 };
/** Stretches that are asked for while an earlier one is read. */
const AHEAD_MAX = 1;

/** A stretch of text that is being spoken. */
interface Stretch {
  readonly words: readonly string[];
  readonly answer: Promise<Response>;
}

/**
 * The first clause is asked for at once; those that come while it is on its way are asked for together, so
 * that they sound of one piece. Word times are estimates: see pacer.ts.
 */
export function openaiSpeech(options: OpenAISpeechOptions): TextToSpeech {
  const { clock, model } = options;
  const fetch = limitedFetch({
    provider: PROVIDER,
    clock,
    ...LIMITS,
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
  });
  const client = openaiClient({ ...options, fetch });

  return {
    provider: PROVIDER,
    async *synthesize(text, { voice, speed }, caller) {
      caller.throwIfAborted();
      const left = new AbortController(); // whoever leaves the loop leaves the requests too
      const signal = AbortSignal.any([caller, left.signal]);
      const pacer = newPacer(clock);

      function ask(words: readonly string[]): Stretch {
        const answer = client.audio.speech.create({
          model,
          input: words.join(" "),
          voice: voice ?? options.voice,
          response_format: "pcm",
          stream_format: "audio",
          ...(speed === undefined ? {} : { speed }),
        }, { signal }).catch((error) => {
          throw openaiFailure(PROVIDER, error);
        });
        answer.catch(() => {}); // thrown where it is read, which may be later
        return { words, answer };
      }

      try {
        for await (const { words, answer } of stretches(untilAborted(text, signal), ask)) {
          pacer.expect(words);
          pacer.endClause();
          for await (const audio of toMulaw(await answer)) {
            for (const speech of pacer.audio(audio)) {
              yield speech;
              signal.throwIfAborted();
            }
          }
          const speech = pacer.clauseEnded();
          if (speech === null) throw providerError(PROVIDER, "it spoke nothing of a clause");
          for (const part of speech) {
            yield part;
            signal.throwIfAborted();
          }
        }
      } catch (error) {
        caller.throwIfAborted();
        throw error;
      } finally {
        left.abort();
      }
    },
  };
}

/** Asks for what has been written as soon as it may, and gives the stretches in order. */
async function* stretches(
  text: AsyncIterable<string>,
  ask: (words: readonly string[]) => Stretch,
): AsyncGenerator<Stretch> {
  const asked = newAsyncQueue<Stretch>(1 + AHEAD_MAX);
  const written: string[] = [];
  let openCount = 0;
  let phase: "writing" | "written" = "writing";
  let failure: { readonly error: unknown } | null = null;

  function advance(): void {
    if (written.length > 0 && openCount <= AHEAD_MAX) {
      openCount++;
      asked.push(ask(takeStretch(written)));
    }
    if (written.length === 0 && phase === "written") asked.end();
  }

  async function gather(): Promise<void> {
    try {
      for await (const piece of text) {
        written.push(...wordsOf(piece));
        advance();
      }
    } catch (error) {
      failure = { error };
      written.length = 0;
    }
    phase = "written";
    advance();
  }

  gather();
  for await (const stretch of asked) {
    yield stretch;
    openCount--;
    advance();
  }
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
}

/** As many words as one request may have. */
function takeStretch(words: string[]): string[] {
  let letters = 0;
  const end = words.findIndex((word) => (letters += word.length + 1) > INPUT_MAX);
  return words.splice(0, end === -1 ? words.length : Math.max(1, end));
}

async function* toMulaw(response: Response): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const pcm = newPcmReader();
  const decimator = newDecimator(FACTOR);
  for await (const bytes of response.body) {
    const audio = encodeMulaw(decimator.push(pcm.push(bytes)));
    if (audio.length > 0) yield audio;
  }
  const rest = encodeMulaw(decimator.end());
  if (rest.length > 0) yield rest;
}
