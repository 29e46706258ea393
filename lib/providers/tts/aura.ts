/** Deepgram Aura, text in and speech out over one socket. https://developers.deepgram.com/reference/text-to-speech/speak-streaming */

import { z } from "zod";
import { type DeepgramOptions, readMessage } from "@/lib/providers/deepgram.ts";
import { feed } from "@/lib/providers/feed.ts";
import { providerError } from "@/lib/providers/http.ts";
import { connectSocket, jsonOf } from "@/lib/providers/socket_client.ts";
import { newPacer } from "./pacer.ts";
import type { Speech, TextToSpeech } from "./tts.ts";
import { wordsOf } from "./words.ts";

export interface AuraOptions extends DeepgramOptions {
  /** The voice of agents that name none; Aura's voices are its models, as `aura-2-thalia-en`. */
  readonly voice: string;
}

const PROVIDER = "aura";
/** While text waits to be spoken, something comes within so long, or the socket is dead. */
const REPLY_TIMEOUT_MS = 4_000;
/** A socket may send 20 in 60 s (developers.deepgram.com/docs/tts-ws-flush): one is kept for the end. */
const FLUSHES_MAX = 19;
const FLUSH_WINDOW_MS = 60_000;

/**
 * A socket an utterance, opened when `synthesize` is first read: do that before the text is there.
 * Without the SDK, which wraps each piece of audio in a Blob that is read asynchronously (12 µs, and
 * the rest of the adapter takes less). Word times are estimates: see pacer.ts.
 */
export function aura(options: AuraOptions): TextToSpeech {
  const { apiKey, baseUrl, clock } = options;
  return {
    provider: PROVIDER,
    async *synthesize(text, { voice, speed }, signal) {
      const model = voice ?? options.voice;
      const query = new URLSearchParams({
        model,
        encoding: "mulaw",
        sample_rate: "8000",
        ...(speed === undefined ? {} : { speed: String(speed) }),
      });
      const socket = await connectSocket(`${baseUrl}/v1/speak?${query}`, {
        provider: PROVIDER,
        headers: { Authorization: `Token ${apiKey.reveal()}` },
        clock,
        signal,
      });
      const send = (message: unknown): void => socket.send(JSON.stringify(message));
      const pacer = newPacer(clock);
      const flushedAt: number[] = [];
      let unflushedWords = 0;
      let flushesOwed = 0;

      function flush(): void {
        send({ type: "Flush" });
        pacer.endClause();
        flushedAt.push(clock.now());
        unflushedWords = 0;
        flushesOwed++;
        socket.expectReply(REPLY_TIMEOUT_MS);
      }

      function mayFlush(): boolean {
        const since = clock.now() - FLUSH_WINDOW_MS;
        return flushedAt.filter((at) => at > since).length < FLUSHES_MAX;
      }

      function read(message: string | Uint8Array): Speech[] {
        if (message instanceof Uint8Array) return pacer.audio(message);
        if (!isFlushed(message)) return [];
        flushesOwed--;
        const speech = pacer.clauseEnded();
        if (speech === null) throw providerError(PROVIDER, "it spoke nothing of a clause");
        return speech;
      }

      const feeding = feed(text, {
        socket,
        send(piece) {
          const words = wordsOf(piece);
          if (words.length === 0) return;
          pacer.expect(words);
          unflushedWords += words.length;
          send({ type: "Speak", text: `${words.join(" ")} ` });
          if (mayFlush()) flush(); // else it is spoken with the next clause that may be
        },
        finish() {
          if (unflushedWords > 0) flush();
          if (flushesOwed === 0) socket.close();
        },
      });
      try {
        for await (const message of socket) {
          for (const part of read(message)) {
            yield part;
            signal.throwIfAborted();
          }
          if (flushesOwed > 0) socket.expectReply(REPLY_TIMEOUT_MS);
          else if (feeding.isFinished()) return;
        }
        if (!feeding.isFinished() || flushesOwed > 0) {
          throw providerError(PROVIDER, "it ended without speaking all of the text");
        }
      } finally {
        feeding.stop();
      }
    },
  };
}

const SpeakMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("Flushed") }),
  z.object({ type: z.literal("Error"), description: z.string().optional() }),
]);

const TYPES = SpeakMessage.options.map(({ shape }) => shape.type.value);

/** The rest (Metadata, Warning) says nothing of the audio. */
function isFlushed(text: string): boolean {
  const message = readMessage(PROVIDER, SpeakMessage, TYPES, jsonOf(text));
  if (message?.type === "Error") {
    throw providerError(PROVIDER, message.description ?? "it sent an error");
  }
  return message?.type === "Flushed";
}
