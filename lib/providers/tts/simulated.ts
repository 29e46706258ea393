/** A voice without a provider: text as tones that a simulated recogniser understands. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { newVoice } from "@/lib/audio/modem.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import { untilAborted } from "@/lib/until_aborted.ts";
import type { Speech, TextToSpeech } from "./tts.ts";

const CHUNK_BYTES = 100 * BYTES_PER_MS;

export interface SimulatedTtsOptions {
  readonly clock: Clock;
  /** From the first words of text to the first audio. Default 100. */
  readonly firstByteMs?: number;
  /** Time to make audio, as a part of the time it plays. Default 0.05: twenty times as fast. */
  readonly realTimeFactor?: number;
}

/**
 * Speaks about 15 letters a second. A piece is taken as whole words: one that ends within a word
 * makes two of it. Each word is sent before its audio.
 */
export function simulatedTts(options: SimulatedTtsOptions): TextToSpeech {
  const { clock, firstByteMs = 100, realTimeFactor = 0.05 } = options;

  return {
    provider: "simulated",
    async *synthesize(text, _, signal) {
      const voice = newVoice();
      let chunk = new Uint8Array(CHUNK_BYTES);
      let filled = 0;
      let waitMs = firstByteMs;

      async function made(): Promise<Speech> {
        const audio = chunk.subarray(0, filled);
        chunk = new Uint8Array(CHUNK_BYTES);
        filled = 0;
        waitMs += audio.length / BYTES_PER_MS * realTimeFactor;
        signal.throwIfAborted();
        if (waitMs > 0) await sleep(clock, waitMs, signal);
        waitMs = 0;
        return { type: "audio", audio };
      }

      for await (const piece of untilAborted(text, signal)) {
        for (const { word, audio } of voice.say(piece)) {
          yield { type: "words", words: [word] };
          for (let at = 0; at < audio.length;) {
            const part = audio.subarray(at, at + CHUNK_BYTES - filled);
            chunk.set(part, filled);
            filled += part.length;
            at += part.length;
            if (filled === CHUNK_BYTES) yield await made();
          }
        }
        if (filled > 0) yield await made();
      }
    },
  };
}
