/** Deepgram's v1 speak socket: text is kept until a Flush, then spoken. */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { newVoice } from "@/lib/audio/modem.ts";
import type { DeepgramContext, DeepgramSession } from "./deepgram.ts";

/** Audio of one message. */
const CHUNK_BYTES = 100 * BYTES_PER_MS;
/** https://developers.deepgram.com/docs/tts-ws-flush */
const FLUSHES_MAX = 20;
const FLUSH_WINDOW_MS = 60_000;
/** Characters of one Speak message. */
const TEXT_MAX = 2_000;

export function speakSession({ peer, query, clock }: DeepgramContext): DeepgramSession {
  const voice = newVoice();
  const flushes: number[] = [];
  let text = "";
  let sequence = 0;

  function speak(): void {
    for (const { audio } of voice.say(text)) {
      for (let at = 0; at < audio.length; at += CHUNK_BYTES) {
        peer.send(audio.subarray(at, at + CHUNK_BYTES));
      }
    }
    text = "";
  }

  function warn(code: string, description: string): void {
    peer.send({ type: "Warning", code, description });
  }

  peer.send({
    type: "Metadata",
    request_id: "00000000-0000-7000-8000-000000000000",
    model_name: query.get("model"),
    model_version: "2026-01-01.0",
    model_uuid: "00000000-0000-7000-8000-000000000001",
  });
  return {
    audio: () => peer.close(1008, "DATA-0000: binary messages are not of the protocol"),
    command(command) {
      switch (command["type"]) {
        case "Speak":
          if (typeof command["text"] !== "string") return peer.close(1008, "DATA-0000: no text");
          if (command["text"].length > TEXT_MAX) return warn("TEXT_LENGTH", "Text is too long");
          text += command["text"];
          return;
        case "Flush": {
          const now = clock.now();
          while (flushes[0] !== undefined && flushes[0] <= now - FLUSH_WINDOW_MS) flushes.shift();
          if (flushes.length >= FLUSHES_MAX) return warn("EXCEEDED_FLUSHES", "Too many flushes");
          flushes.push(now);
          speak();
          return peer.send({ type: "Flushed", sequence_id: sequence++ });
        }
        case "Clear":
          text = "";
          return peer.send({ type: "Cleared", sequence_id: sequence++ });
        case "Close":
          return peer.close(1000, ""); // at once: what was not flushed is not spoken
        default:
          return peer.close(1008, "DATA-0000: unknown message type");
      }
    },
    closed() {},
  };
}
