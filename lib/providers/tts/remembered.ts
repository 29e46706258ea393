/** A voice that says a fixed text again as it said it before, without asking its provider. */

import { type ByteCache, newByteCache } from "@/lib/byte_cache.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { orAborted } from "@/lib/until_aborted.ts";
import { holdVoice, type Speech, type SynthesisOptions, type TextToSpeech } from "./tts.ts";

/** Of a machine: over an hour of speech. */
const KEPT_MAX_BYTES = 32 << 20;
/** A sentence has a minute at the most. */
const SENTENCE_MAX_BYTES = 60_000 * BYTES_PER_MS;

/** Speech of fixed texts, in the pieces in which it came. */
export type SpeechMemory = ByteCache<readonly Speech[]>;

export function newSpeechMemory(): SpeechMemory {
  return newByteCache({ maxBytes: KEPT_MAX_BYTES, entryMaxBytes: SENTENCE_MAX_BYTES });
}

export interface RememberedOptions {
  readonly memory: SpeechMemory;
  /** What speaks: provider, account, model and voice. The same name is the same speech. */
  readonly name: string;
}

/** Only a text that is fixed is remembered, once it has been said to its end. */
export function remembered(voice: TextToSpeech, memo: RememberedOptions): TextToSpeech {
  const { memory, name } = memo;

  async function* synthesize(
    text: AsyncIterable<string>,
    options: SynthesisOptions,
    signal: AbortSignal,
  ): AsyncGenerator<Speech> {
    if (!options.isFixed) return yield* voice.synthesize(text, options, signal);
    const pieces = await orAborted(Array.fromAsync(text), signal);
    const { voice: own, language, speed = 1 } = options;
    const key = JSON.stringify([name, own, language, speed, pieces.join("")]);
    const kept = memory.get(key);
    if (kept !== null) {
      for (const speech of kept) {
        signal.throwIfAborted();
        yield speech;
      }
      return;
    }
    const said: Speech[] = [];
    let bytes = 0;
    for await (const speech of voice.synthesize(each(pieces), options, signal)) {
      if (speech.type === "audio") bytes += speech.audio.length;
      if (bytes <= SENTENCE_MAX_BYTES) said.push(speech);
      yield speech;
    }
    if (bytes > 0) memory.put(key, said, bytes);
  }

  return {
    provider: voice.provider,
    synthesize,
    hold(first) {
      const held = holdVoice(voice, first);
      return { ...remembered(held, memo), release: held.release };
    },
  };
}

async function* each(pieces: readonly string[]): AsyncGenerator<string> {
  yield* await Promise.resolve(pieces);
}
