/** ElevenLabs, text in and speech out: a socket a call, on it a context an utterance. https://elevenlabs.io/docs/eleven-api/guides/how-to/websockets/multi-context-web-socket */

import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { feed } from "@/lib/providers/feed.ts";
import { providerError } from "@/lib/providers/http.ts";
import type { Secret } from "@/lib/secret.ts";
import { orAborted } from "@/lib/until_aborted.ts";
import { newAligner } from "./aligner.ts";
import {
  type ContextSocket,
  INACTIVITY_TIMEOUT_S,
  openContexts,
  PROVIDER,
  type VoiceSettings,
} from "./elevenlabs_socket.ts";
import type { HeldVoice, Speech, SynthesisOptions, TextToSpeech } from "./tts.ts";
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

/** A socket has one voice: so many are kept for a call whose nodes have voices of their own. */
export const SOCKETS_MAX = 2;
/** All text was sent and some was spoken: with no more for so long, the rest is not going to be told of. */
const SETTLED_MS = 500;

/** Unheld, an utterance has a socket of its own, opened when `synthesize` is first read: do that before the text is there. */
export function elevenlabs(options: ElevenLabsOptions): TextToSpeech {
  return {
    provider: PROVIDER,
    async *synthesize(text, how, signal) {
      const sockets = newSockets(options);
      try {
        yield* speak(text, { ...options, how, sockets }, signal);
      } finally {
        sockets.close();
      }
    },
    hold(first): HeldVoice {
      const sockets = newSockets(options);
      sockets.take(first).catch(() => {}); // the utterance that needs it says how it failed
      return {
        provider: PROVIDER,
        synthesize: (text, how, signal) => speak(text, { ...options, how, sockets }, signal),
        release: sockets.close,
      };
    },
  };
}

interface Speaking extends Pick<ElevenLabsOptions, "clock" | "voiceSettings"> {
  readonly how: SynthesisOptions;
  readonly sockets: Sockets;
}

async function* speak(
  text: AsyncIterable<string>,
  { clock, voiceSettings, how, sockets }: Speaking,
  signal: AbortSignal,
): AsyncGenerator<Speech> {
  signal.throwIfAborted();
  const socket = await orAborted(sockets.take(how), signal);
  const context = socket.newContext(toVoiceSettings(voiceSettings, how));
  const aborted = (): void => {
    context.fail(signal.reason);
    if (signal.reason instanceof AppError) socket.close(); // it was silent: it may be dead
  };
  signal.addEventListener("abort", aborted, { once: true });
  const alignment = newAligner();
  let audioBytes = 0;
  let hasText = false;
  let disarm: Cancel = () => {};

  /** Its end is asked for as soon as that takes nothing from it. */
  function askForEnd(): void {
    disarm();
    if (!feeding.isFinished() || audioBytes === 0) return;
    if (!alignment.isWaiting()) context.close();
    else disarm = clock.timer(SETTLED_MS, context.close);
  }

  const feeding = feed(text, {
    socket: context,
    send(piece) {
      const words = wordsOf(piece);
      if (words.length === 0) return;
      hasText = true;
      alignment.expect(words);
      context.say(`${words.join(" ")} `); // must end in a space, or its last word waits for more
      context.owe(true);
    },
    finish() {
      if (!hasText) return context.leave();
      context.flush();
      context.owe(true);
      askForEnd();
    },
  });
  try {
    for await (const { audio, times, isFinal } of context) {
      signal.throwIfAborted();
      const atMs = audioBytes / BYTES_PER_MS;
      const words = times === null ? [] : alignment.read(times, atMs);
      audioBytes += audio.length;
      // A word that was never aligned has at the latest been heard when all has.
      if (isFinal) words.push(...alignment.rest(audioBytes / BYTES_PER_MS));
      if (isFinal && audioBytes === 0) break;
      if (words.length > 0) yield { type: "words", words };
      signal.throwIfAborted(); // it may have been cut off over the words
      if (audio.length > 0) yield { type: "audio", audio };
      if (isFinal) return;
      context.owe(alignment.isWaiting() || feeding.isFinished());
      askForEnd();
    }
    if (!feeding.isFinished() || hasText) {
      throw providerError(PROVIDER, "it ended without speaking all of the text");
    }
  } finally {
    disarm();
    signal.removeEventListener("abort", aborted);
    feeding.stop();
    context.leave();
  }
}

interface Sockets {
  /** One that an utterance in this voice can be said on; rejects as `openContexts` does. */
  take(how: SynthesisOptions): Promise<ContextSocket>;
  close(): void;
}

/** Sockets by what they speak with. */
function newSockets(options: ElevenLabsOptions): Sockets {
  const { apiKey, clock } = options;
  const life = new AbortController();
  /** The one used last stands last. */
  const opening = new Map<string, Promise<ContextSocket>>();
  const open = new Map<string, ContextSocket>();

  function connect(url: string): Promise<ContextSocket> {
    const headers = { "xi-api-key": apiKey.reveal() };
    const socket = openContexts({ url, headers, clock, signal: life.signal });
    socket.then(
      (it) => opening.get(url) === socket ? open.set(url, it) : it.close(),
      () => opening.get(url) === socket && opening.delete(url),
    );
    return socket;
  }

  function drop(url: string): void {
    opening.delete(url);
    open.get(url)?.close();
    open.delete(url);
  }

  return {
    take(how) {
      const url = urlOf(options, how);
      if (open.get(url)?.isFree === false) drop(url);
      const socket = opening.get(url) ?? connect(url);
      opening.delete(url);
      opening.set(url, socket);
      const [oldest] = opening.keys();
      if (opening.size > SOCKETS_MAX && oldest !== undefined) drop(oldest);
      return socket;
    },
    close() {
      for (const socket of open.values()) socket.close();
      opening.clear();
      open.clear();
      life.abort();
    },
  };
}

function urlOf(
  { baseUrl, model, voice: own }: ElevenLabsOptions,
  { voice, language }: SynthesisOptions,
): string {
  const query = new URLSearchParams({
    model_id: model,
    output_format: "ulaw_8000",
    auto_mode: "true", // a clause is spoken when it comes: we cut them, no schedule need do it again
    sync_alignment: "true",
    inactivity_timeout: String(INACTIVITY_TIMEOUT_S),
    ...(takesLanguage(model) ? { language_code: language.slice(0, 2) } : {}),
  });
  const id = encodeURIComponent(voice ?? own);
  return `${baseUrl}/v1/text-to-speech/${id}/multi-stream-input?${query}`;
}

/** Only these accept `language_code`; others refuse the connection (2026-11). */
function takesLanguage(model: string): boolean {
  return model.endsWith("_v2_5");
}

function toVoiceSettings(
  settings: ElevenLabsOptions["voiceSettings"],
  how: SynthesisOptions,
): VoiceSettings | null {
  const speed = how.speed ?? settings?.speed;
  if (settings === undefined && speed === undefined) return null;
  const { stability, similarityBoost } = settings ?? {};
  return { stability, similarity_boost: similarityBoost, speed };
}
