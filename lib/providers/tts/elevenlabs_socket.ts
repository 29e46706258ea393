/** ElevenLabs' socket with several contexts on it, each an utterance. https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input */

import { z } from "zod";
import { newAsyncQueue } from "@/lib/async_queue.ts";
import type { Clock } from "@/lib/clock.ts";
import { watchIdle } from "@/lib/providers/feed.ts";
import { providerError } from "@/lib/providers/http.ts";
import { connectSocket, jsonOf } from "@/lib/providers/socket_client.ts";
import type { CharacterTimes } from "./aligner.ts";

export const PROVIDER = "elevenlabs";
/** ElevenLabs' most: a model that thinks between two clauses, or a caller who talks, must not end it. */
export const INACTIVITY_TIMEOUT_S = 180;
/** Something is sent at least so often. */
export const KEEP_ALIVE_MS = 60_000;
/** Those that a socket may have at a time, by ElevenLabs; a closed one counts until its end has come. */
export const CONTEXTS_MAX = 5;
/** While text waits to be spoken, something comes within so long, or the socket is dead. */
const REPLY_TIMEOUT_MS = 4_000;
/** Came and not yet read: minutes of speech. Past this the socket fails. */
const UNREAD_MAX_BYTES = 8 << 20;
/** The same in messages: none has less than a frame. */
const UNREAD_MAX = 20_000;

export interface ContextsOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Ends it in whatever state it is. */
  readonly signal: AbortSignal;
}

export interface ContextSocket {
  /** False: it has ended, or has as many contexts as it may. Another is then to be opened. */
  readonly isFree: boolean;
  /** Nothing is sent before its first text. */
  newContext(voiceSettings: VoiceSettings | null): VoiceContext;
  /** Closes in order. */
  close(): void;
}

/** As the wire has them. */
export type VoiceSettings = Readonly<Record<string, number | undefined>>;

export interface Reply {
  readonly audio: Uint8Array;
  readonly times: CharacterTimes | null;
  readonly isFinal: boolean;
}

/**
 * Iterating gives its replies, once, the final one last; it ends without that when the socket was
 * closed in order, and else throws what ended the socket.
 */
export interface VoiceContext extends AsyncIterable<Reply> {
  say(text: string): void;
  /** All of its text was sent: what has not been spoken is. */
  flush(): void;
  /**
   * Asks for its end. Only once its audio has begun to come: one that is closed together with its text
   * may be dropped unspoken (github.com/pipecat-ai/pipecat/issues/4681).
   */
  close(): void;
  /** Whether a reply is owed: without one for too long the socket fails. */
  owe(isOwed: boolean): void;
  /** Ends the iteration with `error`; the socket goes on. */
  fail(error: unknown): void;
  /** Nothing more of it is wanted: what still comes is dropped. */
  leave(): void;
}

interface Inbox {
  readonly replies: ReturnType<typeof newAsyncQueue<Reply>>;
  isOwed: boolean;
  /** How it ended; a null error: in order. */
  end(error: unknown): void;
}

/** Rejects as `connectSocket` does. */
export async function openContexts(options: ContextsOptions): Promise<ContextSocket> {
  const { url, headers, clock, signal } = options;
  const socket = await connectSocket(url, { provider: PROVIDER, headers, clock, signal });
  /** Those that the provider has and has not ended; null: nobody listens to it any more. */
  const contexts = new Map<string, Inbox | null>();
  let count = 0;
  let unreadBytes = 0;
  let phase: "open" | "ended" = "open";

  const idle = watchIdle({
    clock,
    afterMs: KEEP_ALIVE_MS,
    send() {
      const id = [...contexts].findLast(([, inbox]) => inbox !== null)?.[0];
      // Without a context it is not in their specification, and does keep the socket (2026-11).
      socket.send(JSON.stringify(id === undefined ? { text: "" } : { text: "", context_id: id }));
    },
  });

  function send(message: unknown): void {
    socket.send(JSON.stringify(message));
    idle.sent();
  }

  function end(error: unknown): void {
    phase = "ended";
    idle.stop();
    for (const inbox of contexts.values()) inbox?.end(error);
    contexts.clear();
  }

  function awaitOwed(): void {
    const isOwed = [...contexts.values()].some((inbox) => inbox?.isOwed ?? false);
    if (isOwed) socket.expectReply(REPLY_TIMEOUT_MS);
    else socket.expectNothing();
  }

  function take(message: string | Uint8Array): void {
    const { contextId, ...reply } = parse(message);
    const inbox = contextId === null ? undefined : contexts.get(contextId);
    if (contextId !== null && reply.isFinal) contexts.delete(contextId);
    if (inbox === undefined || inbox === null) return; // late audio of what was cut off
    unreadBytes += reply.audio.length;
    if (unreadBytes > UNREAD_MAX_BYTES || inbox.replies.length >= UNREAD_MAX) {
      throw providerError(PROVIDER, `over ${UNREAD_MAX_BYTES} bytes of it are unread`);
    }
    inbox.replies.push(reply);
    if (reply.isFinal) inbox.end(null);
  }

  async function read(): Promise<void> {
    for await (const message of socket) {
      take(message);
      awaitOwed();
    }
  }

  read().then(() => end(null), end);

  return {
    get isFree() {
      return phase === "open" && contexts.size < CONTEXTS_MAX;
    },
    newContext(voiceSettings) {
      const id = `u${++count}`;
      const replies = newAsyncQueue<Reply>(UNREAD_MAX);
      let failure: { readonly error: unknown } | null = null;
      let state: "new" | "open" | "closed" = "new";
      const inbox: Inbox = {
        replies,
        isOwed: false,
        end(error) {
          if (error !== null) failure ??= { error };
          replies.end();
        },
      };

      function begin(): void {
        if (state !== "new") return;
        if (phase === "ended") {
          state = "closed";
          return inbox.end(providerError(PROVIDER, "its connection was lost"));
        }
        state = "open";
        contexts.set(id, inbox);
        const settings = voiceSettings === null ? {} : { voice_settings: voiceSettings };
        send({ text: " ", context_id: id, ...settings });
      }

      return {
        say(text) {
          begin();
          if (state === "open") send({ text, context_id: id });
        },
        flush() {
          if (state === "open") send({ context_id: id, flush: true });
        },
        close() {
          if (state === "open") send({ context_id: id, close_context: true });
          state = "closed";
        },
        owe(isOwed) {
          inbox.isOwed = isOwed;
          awaitOwed();
        },
        fail: (error) => inbox.end(error),
        leave() {
          const isKnown = contexts.get(id) === inbox;
          if (isKnown && state === "open") send({ context_id: id, close_context: true });
          state = "closed";
          inbox.end(null);
          unreadBytes -= replies.waiting.reduce((sum, { audio }) => sum + audio.length, 0);
          if (isKnown) contexts.set(id, null);
          if (inbox.isOwed) awaitOwed();
        },
        async *[Symbol.asyncIterator]() {
          for await (const reply of replies) {
            unreadBytes -= reply.audio.length;
            yield reply;
          }
          if (failure !== null) throw failure.error;
        },
      };
    },
    close() {
      if (phase === "ended") return;
      send({ close_socket: true });
      socket.close();
      end(null);
    },
  };
}

/** Characters of the text as it was sent; when each is spoken: milliseconds from the chunk's first sample. */
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

/** The specification spells names of the two ends differently, and `isFinal` in both ways. */
const Message = z.object({
  audio: z.base64().nullish(),
  alignment: Times.nullish(),
  isFinal: z.boolean().nullish(),
  is_final: z.boolean().nullish(),
  contextId: z.string().nullish(),
  // Before a close with 1008: `error` is a code, as `invalid_api_key` or `quota_exceeded`.
  error: z.string().optional(),
});

function parse(message: string | Uint8Array): Reply & { readonly contextId: string | null } {
  const read = Message.safeParse(jsonOf(message));
  if (!read.success) {
    throw providerError(PROVIDER, "it sent a message that is not of its protocol");
  }
  const { audio, alignment, isFinal, is_final, contextId, error } = read.data;
  if (error !== undefined) {
    throw providerError(PROVIDER, error, { retryable: RETRYABLE.includes(error) });
  }
  return {
    audio: Uint8Array.fromBase64(audio ?? ""),
    times: alignment ?? null,
    isFinal: isFinal ?? is_final ?? false,
    contextId: contextId ?? null,
  };
}

/** What another socket mends. */
const RETRYABLE: readonly string[] = ["input_timeout_exceeded", "max_active_conversations"];
