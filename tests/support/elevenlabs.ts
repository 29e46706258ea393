/** ElevenLabs' multi-context text to speech socket on loopback: it speaks in tones, with the times of its characters. */

import { z } from "zod";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { newVoice, type VoicedWord } from "@/lib/audio/modem.ts";
import { type Cancel, type Clock, systemClock } from "@/lib/clock.ts";
import type { SpokenWord } from "@/lib/providers/tts/tts.ts";
import { newDelayLine } from "./delay_line.ts";
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
  /** From text to its first audio, and from one message of audio to the next. */
  readonly firstAudioMs?: number;
  readonly chunkEveryMs?: number;
  readonly handshakeMs?: number;
  /** It never ends a context that is closed. */
  readonly stallsClose?: boolean;
}

export interface ElevenLabsServer extends ProtocolServer {
  /** All that clients sent, in order, over all connections. */
  readonly received: readonly ClientMessage[];
  /** The requests' addresses: path and query. */
  readonly requests: readonly URL[];
}

const ClientMessage = z.strictObject({
  text: z.string().optional(),
  context_id: z.string().optional(),
  voice_settings: z.strictObject({
    stability: z.number().min(0).max(1).optional(),
    similarity_boost: z.number().min(0).max(1).optional(),
    speed: z.number().min(0.7).max(1.2).optional(),
  }).optional(),
  generation_config: z.strictObject({ chunk_length_schedule: z.array(z.number()) }).optional(),
  xi_api_key: z.string().optional(),
  flush: z.boolean().optional(),
  close_context: z.boolean().optional(),
  close_socket: z.boolean().optional(),
});

export type ClientMessage = z.infer<typeof ClientMessage>;

const PATH = /^\/v1\/text-to-speech\/[^/]+\/multi-stream-input$/;
/** Without auto_mode it waits for so many characters before it speaks for the first time. */
const SCHEDULED_CHARS = 120;
/** elevenlabs.io/docs/eleven-api/guides/how-to/websockets/multi-context-web-socket */
const CONTEXTS_MAX = 5;
/** Of a client that names none. */
const DEFAULT_ID = "default";

export async function startElevenLabs(options: ElevenLabsServerOptions): Promise<ElevenLabsServer> {
  const received: ClientMessage[] = [];
  const requests: URL[] = [];
  const { clock = systemClock, handshakeMs } = options;
  const server = await startProtocolServer({
    ...(handshakeMs === undefined ? {} : { handshake: { clock, ms: handshakeMs } }),
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
  const contexts = new Map<string, Speaking>();
  let isDone = false;
  let cancelTimeout: Cancel = () => {};

  function end(): void {
    isDone = true;
    cancelTimeout();
    for (const context of contexts.values()) context.drop();
    contexts.clear();
  }

  function refuse(error: string, message: string): void {
    end();
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

  function newContext(id: string, message: ClientMessage): string | null {
    if (!isKnown && message.xi_api_key !== apiKey) {
      refuse("invalid_api_key", "Invalid API key");
      return null;
    }
    if (contexts.size === CONTEXTS_MAX) {
      refuse(
        "max_active_conversations",
        `Maximum simultaneous contexts per WebSocket connection exceeded (${CONTEXTS_MAX}).`,
      );
      return null;
    }
    contexts.set(id, speakingOf(id, peer, options, () => contexts.delete(id)));
    return message.text ?? "";
  }

  waitForText();
  return {
    text(raw) {
      if (isDone) return;
      const parsed = ClientMessage.safeParse(jsonOf(raw));
      if (!parsed.success) return refuse("invalid_message", "Message is not of the protocol");
      const message = parsed.data;
      const { context_id: id = DEFAULT_ID, text = "", flush = false } = message;
      options.received.push(message);
      waitForText();
      if (message.close_socket) {
        for (const context of contexts.values()) context.close();
        end();
        return peer.close(1000, "");
      }
      const known = contexts.get(id);
      if (message.close_context) return known?.close();
      if (known === undefined && text === "" && !flush) return; // it keeps the socket alive
      // One that it has never heard of is opened by a flush as well.
      const first = known === undefined ? newContext(id, message) : null;
      if (known === undefined && first === null) return;
      if (known !== undefined && message.voice_settings) {
        return refuse("invalid_message", "Voice settings belong in a context's first message");
      }
      contexts.get(id)?.say(text, { isAuto, flush });
    },
    bytes: () => refuse("invalid_message", "Binary messages are not of the protocol"),
    closed: end,
  };
}

/** What speaks one context. */
interface Speaking {
  say(text: string, how: { readonly isAuto: boolean; readonly flush: boolean }): void;
  /** Says what it has begun, and ends; before its first audio it drops all (github.com/pipecat-ai/pipecat/issues/4681). */
  close(): void;
  drop(): void;
}

function speakingOf(id: string, peer: Peer, options: SpeechOptions, ended: () => void): Speaking {
  const { clock = systemClock, firstAudioMs = 0, chunkEveryMs = 0, stallsClose = false } = options;
  const voice = newVoice();
  const line = newDelayLine<Record<string, unknown>>({
    clock,
    delayMs: () => sendAt === null ? 0 : Math.max(0, sendAt - clock.now()),
    deliver(message) {
      hasSent = true;
      peer.send({ ...message, contextId: id });
    },
  });
  let text = "";
  let spokenMs = 0;
  let sendAt: number | null = null;
  let hasSent = false;

  /** Speaks whole words; `all`: also the last one when no space follows it. */
  function generate(all: boolean): void {
    const end = all ? text.length : text.lastIndexOf(" ") + 1;
    const words = [...voice.say(text.slice(0, end))];
    text = text.slice(end);
    if (words.length === 0) return;
    if (firstAudioMs > 0 || chunkEveryMs > 0) {
      sendAt = Math.max(sendAt ?? 0, clock.now() + firstAudioMs);
    }
    for (const message of chunksOf(words, spokenMs, options)) {
      line.put(message);
      if (sendAt !== null) sendAt += chunkEveryMs;
    }
    spokenMs += words.reduce((sum, { audio }) => sum + audio.length, 0) / BYTES_PER_MS;
  }

  return {
    say(more, { isAuto, flush }) {
      text += more;
      if (isAuto || flush || text.length >= SCHEDULED_CHARS) generate(flush);
    },
    close() {
      if (stallsClose) return;
      if (!hasSent) {
        line.cut();
        sendAt = null;
      }
      line.put({ audio: null, alignment: null, normalizedAlignment: null, isFinal: true });
      ended();
    },
    drop: line.cut,
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
