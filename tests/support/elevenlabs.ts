/** ElevenLabs' text to speech socket on loopback: it speaks in tones, with the times of its characters. */

import { z } from "zod";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { newVoice, type VoicedWord } from "@/lib/audio/modem.ts";
import { type Cancel, type Clock, systemClock } from "@/lib/clock.ts";
import type { SpokenWord } from "@/lib/providers/tts/tts.ts";
import {
  type Peer,
  type ProtocolServer,
  type Session,
  startProtocolServer,
} from "./protocol_server.ts";

export interface ElevenLabsServerOptions {
  readonly apiKey: string;
  readonly clock?: Clock;
  /** Audio of one message. */
  readonly chunkMs?: number;
  /** The specification and the wire disagree. */
  readonly durationsAs?: "charDurationsMs" | "charsDurationsMs";
}

export interface ElevenLabsServer extends ProtocolServer {
  /** All that clients sent, in order, over all connections. */
  readonly received: readonly ClientMessage[];
  /** The requests' addresses: path and query. */
  readonly requests: readonly URL[];
}

const ClientMessage = z.strictObject({
  text: z.string(),
  voice_settings: z.strictObject({
    stability: z.number().min(0).max(1).optional(),
    similarity_boost: z.number().min(0).max(1).optional(),
    speed: z.number().min(0.7).max(1.2).optional(),
  }).optional(),
  generation_config: z.strictObject({ chunk_length_schedule: z.array(z.number()) }).optional(),
  xi_api_key: z.string().optional(),
  try_trigger_generation: z.boolean().optional(),
  flush: z.boolean().optional(),
});

export type ClientMessage = z.infer<typeof ClientMessage>;

const PATH = /^\/v1\/text-to-speech\/[^/]+\/stream-input$/;
/** Without auto_mode it waits for so many characters before it speaks for the first time. */
const SCHEDULED_CHARS = 120;

export async function startElevenLabs(options: ElevenLabsServerOptions): Promise<ElevenLabsServer> {
  const received: ClientMessage[] = [];
  const requests: URL[] = [];
  const server = await startProtocolServer({
    accept(request, url) {
      if (!PATH.test(url.pathname)) return 404;
      const key = request.headers["xi-api-key"];
      if (key !== undefined && key !== options.apiKey) return 401;
      if (url.searchParams.get("output_format") !== "ulaw_8000") return 400; // all that we speak here
      requests.push(url);
      return (peer) => speech(peer, url, key !== undefined, { ...options, received });
    },
  });
  return Object.assign(server, { received, requests });
}

interface SpeechOptions extends ElevenLabsServerOptions {
  readonly received: ClientMessage[];
}

function speech(peer: Peer, url: URL, isKnown: boolean, options: SpeechOptions): Session {
  const { apiKey, clock = systemClock } = options;
  const isAuto = url.searchParams.get("auto_mode") === "true";
  const timeoutMs = 1000 * Number(url.searchParams.get("inactivity_timeout") ?? "20");
  const voice = newVoice();
  let phase: "new" | "open" | "done" = "new";
  let text = "";
  let spokenMs = 0;
  let cancelTimeout: Cancel = () => {};

  function refuse(error: string, message: string): void {
    phase = "done";
    cancelTimeout();
    peer.send({ message, error, code: 1008 });
    peer.close(1008, message.slice(0, 120));
  }

  function waitForText(): void {
    cancelTimeout();
    cancelTimeout = clock.timer(timeoutMs, () =>
      refuse(
        "input_timeout_exceeded",
        `Have not received a new text input within the timeout of ${timeoutMs / 1000} seconds.`,
      ));
  }

  /** Speaks whole words; `all`: also the last one when no space follows it. */
  function generate(all: boolean): void {
    const end = all ? text.length : text.lastIndexOf(" ") + 1;
    const words = [...voice.say(text.slice(0, end))];
    text = text.slice(end);
    if (words.length === 0) return;
    for (const message of chunksOf(words, spokenMs, options)) peer.send(message);
    spokenMs += words.reduce((sum, { audio }) => sum + audio.length, 0) / BYTES_PER_MS;
  }

  waitForText();
  return {
    text(raw) {
      if (phase === "done") return;
      const parsed = ClientMessage.safeParse(jsonOf(raw));
      if (!parsed.success) return refuse("invalid_message", "Message is not of the protocol");
      const message = parsed.data;
      options.received.push(message);
      if (phase === "new") {
        if (!isKnown && message.xi_api_key !== apiKey) {
          return refuse("invalid_api_key", "Invalid API key");
        }
        if (message.text !== " ") return refuse("invalid_message", "First text must be a space");
        phase = "open";
        return waitForText();
      }
      if (message.voice_settings) {
        return refuse("invalid_message", "Voice settings belong in the first message");
      }
      if (message.text === "") {
        phase = "done";
        cancelTimeout();
        generate(true);
        peer.send({ audio: null, alignment: null, normalizedAlignment: null, isFinal: true });
        return peer.close(1000, "");
      }
      waitForText();
      text += message.text;
      if (isAuto || message.flush || text.length >= SCHEDULED_CHARS) {
        generate(message.flush ?? false);
      }
    },
    bytes: () => refuse("invalid_message", "Binary messages are not of the protocol"),
    closed() {
      phase = "done";
      cancelTimeout();
    },
  };
}

interface Char {
  readonly char: string;
  readonly startMs: number;
  readonly durationMs: number;
}

/** The words' audio in pieces, each with the characters that begin in it, timed from its first sample. */
function* chunksOf(
  words: readonly VoicedWord[],
  spokenMs: number, // before these words
  { chunkMs = 200, durationsAs = "charDurationsMs" }: ElevenLabsServerOptions,
): Iterable<Record<string, unknown>> {
  const audio = concat(words.map((voiced) => voiced.audio));
  const chars = words.flatMap(({ word }) => charsOf(word, word.startMs - spokenMs));
  for (let fromMs = 0; fromMs * BYTES_PER_MS < audio.length; fromMs += chunkMs) {
    const inIt = chars.filter((char) => char.startMs >= fromMs && char.startMs < fromMs + chunkMs);
    const alignment = inIt.length === 0 ? null : {
      chars: inIt.map(({ char }) => char),
      charStartTimesMs: inIt.map(({ startMs }) => startMs - fromMs),
      [durationsAs]: inIt.map(({ durationMs }) => durationMs),
    };
    const chunk = audio.subarray(fromMs * BYTES_PER_MS, (fromMs + chunkMs) * BYTES_PER_MS);
    yield { audio: chunk.toBase64(), alignment, normalizedAlignment: alignment, isFinal: null };
  }
}

/** The letters of a word share its time; the space behind it takes none that matters. */
function charsOf({ text, startMs, endMs }: SpokenWord, fromMs: number): Char[] {
  const letters = Array.from(text);
  const durationMs = (endMs - startMs) / letters.length;
  const space = { char: " ", startMs: fromMs + (endMs - startMs), durationMs: 0 };
  return [
    ...letters.map((char, i) => ({ char, startMs: fromMs + i * durationMs, durationMs })),
    space,
  ];
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
