/** ElevenLabs, text in and speech out over one socket. https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input */

import { z } from "zod";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Clock } from "@/lib/clock.ts";
import { feed } from "@/lib/providers/feed.ts";
import { providerError } from "@/lib/providers/http.ts";
import { connectSocket, jsonOf } from "@/lib/providers/socket_client.ts";
import type { Secret } from "@/lib/secret.ts";
import type { SpokenWord, TextToSpeech } from "./tts.ts";
import { wordsOf } from "./words.ts";

export interface ElevenLabsOptions {
  readonly apiKey: Secret;
  /** `https://api.elevenlabs.io`, or another; http, https, ws and wss are understood. */
  readonly baseUrl: string;
  readonly clock: Clock;
  /** As `eleven_flash_v2_5`. */
  readonly model: string;
  /** The voice id of agents that name none. */
  readonly voice: string;
  /** ElevenLabs' own when absent. */
  readonly voiceSettings?: {
    readonly stability?: number;
    readonly similarityBoost?: number;
    readonly speed?: number;
  };
}

const PROVIDER = "elevenlabs";
/** While text waits to be spoken, something comes within so long, or the socket is dead. */
const REPLY_TIMEOUT_MS = 4_000;
/** ElevenLabs' most: a model that thinks between two clauses must not end the speech. */
const INACTIVITY_TIMEOUT_S = 180;

/** A socket an utterance, opened when `synthesize` is first read: do that before the text is there. */
export function elevenlabs(options: ElevenLabsOptions): TextToSpeech {
  const { apiKey, baseUrl, clock, model, voiceSettings } = options;
  return {
    provider: PROVIDER,
    async *synthesize(text, { voice, language, speed }, signal) {
      const voiceId = encodeURIComponent(voice ?? options.voice);
      const query = new URLSearchParams({
        model_id: model,
        output_format: "ulaw_8000",
        auto_mode: "true", // a clause is spoken when it comes: we cut them, no schedule need do it again
        sync_alignment: "true",
        inactivity_timeout: String(INACTIVITY_TIMEOUT_S),
        ...(takesLanguage(model) ? { language_code: language.slice(0, 2) } : {}),
      });
      const url = `${baseUrl}/v1/text-to-speech/${voiceId}/stream-input?${query}`;
      const headers = { "xi-api-key": apiKey.reveal() };
      const socket = await connectSocket(url, { provider: PROVIDER, headers, clock, signal });
      const send = (message: unknown): void => socket.send(JSON.stringify(message));
      const alignment = newAligner();
      let audioBytes = 0;
      let hasText = false;

      send({
        text: " ",
        ...(voiceSettings !== undefined || speed !== undefined
          ? { voice_settings: toVoiceSettings({ ...voiceSettings, ...(speed ? { speed } : {}) }) }
          : {}),
      });
      const feeding = feed(text, {
        socket,
        send(piece) {
          const words = wordsOf(piece);
          if (words.length === 0) return;
          hasText = true;
          alignment.expect(words);
          send({ text: `${words.join(" ")} ` }); // must end in a space, or its last word waits for more
          socket.expectReply(REPLY_TIMEOUT_MS);
        },
        finish() {
          if (!hasText) return socket.close();
          send({ text: "" });
          socket.expectReply(REPLY_TIMEOUT_MS);
        },
      });
      try {
        for await (const message of socket) {
          const { audio, times, isFinal } = parse(message);
          const atMs = audioBytes / BYTES_PER_MS;
          const words = times === null ? [] : alignment.read(times, atMs);
          audioBytes += audio.length;
          // A word that was never aligned has at the latest been heard when all has.
          if (isFinal) words.push(...alignment.rest(audioBytes / BYTES_PER_MS));
          if (isFinal && hasText && audioBytes === 0) break;
          if (words.length > 0) yield { type: "words", words };
          signal.throwIfAborted();
          if (audio.length > 0) yield { type: "audio", audio };
          if (isFinal) return;
          if (alignment.isWaiting() || feeding.isFinished()) socket.expectReply(REPLY_TIMEOUT_MS);
        }
        if (!feeding.isFinished() || hasText) {
          throw providerError(PROVIDER, "it ended without speaking all of the text");
        }
      } finally {
        feeding.stop();
      }
    },
  };
}

/** Only these accept `language_code`; others refuse the connection (2026-11). */
function takesLanguage(model: string): boolean {
  return model.endsWith("_v2_5");
}

function toVoiceSettings(
  settings: NonNullable<ElevenLabsOptions["voiceSettings"]>,
): Record<string, number | undefined> {
  const { stability, similarityBoost, speed } = settings;
  return { stability, similarity_boost: similarityBoost, speed };
}

/** Characters of the text as it was sent, and when each is spoken: milliseconds from the chunk's first sample. */
const Times = z.object({
  chars: z.array(z.string()),
  charStartTimesMs: z.array(z.number()),
  // The specification spells it with an s, the wire without (2026-11): both are seen.
  charDurationsMs: z.array(z.number()).optional(),
  charsDurationsMs: z.array(z.number()).optional(),
}).transform(({ chars, charStartTimesMs, charDurationsMs, charsDurationsMs }) => ({
  chars,
  startMs: charStartTimesMs,
  durationMs: charDurationsMs ?? charsDurationsMs ?? [],
})).refine(({ chars, startMs, durationMs }) =>
  chars.length === startMs.length && chars.length === durationMs.length
);

export type CharacterTimes = z.output<typeof Times>;

const Reply = z.object({
  audio: z.base64().nullish(),
  alignment: Times.nullish(),
  isFinal: z.boolean().nullish(),
  // Before a close with 1008: `error` is a code, as `invalid_api_key` or `quota_exceeded`.
  error: z.string().optional(),
});

function parse(
  message: string | Uint8Array,
): { audio: Uint8Array; times: CharacterTimes | null; isFinal: boolean } {
  const reply = Reply.safeParse(jsonOf(message));
  if (!reply.success) {
    throw providerError(PROVIDER, "it sent a message that is not of its protocol");
  }
  const { audio, alignment, isFinal, error } = reply.data;
  if (error !== undefined) {
    throw providerError(PROVIDER, error, { retryable: error === "input_timeout_exceeded" });
  }
  return {
    audio: Uint8Array.fromBase64(audio ?? ""),
    times: alignment ?? null,
    isFinal: isFinal ?? false,
  };
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
