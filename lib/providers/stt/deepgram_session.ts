/** A recogniser session with Deepgram, of either version: audio goes in beside the messages that come out. */

import type { DeepgramLink } from "@/lib/providers/deepgram.ts";
import { feed, type IdleOptions } from "@/lib/providers/feed.ts";
import { providerError } from "@/lib/providers/http.ts";
import type { Recognition } from "./stt.ts";

/**
 * While audio flows something comes within so long, or the connection is dead: Nova sends a result about every
 * second, silence or not, and Flux an Update every 250 ms. Longer, and a caller who waits hears nothing meanwhile.
 */
export const REPLY_TIMEOUT_MS = 2_500;

/** The parts that both versions' connections have in common. */
interface Listening {
  sendMedia(audio: Uint8Array): void;
  sendCloseStream(message: { readonly type: "CloseStream" }): void;
}

/** Turns messages into recognitions. */
export interface Reader {
  /** Throws AppError("provider_failed") for a message that is not of the protocol. */
  read(message: unknown): Recognition[];
  /** What is left to say when the stream has ended. */
  end(): Recognition[];
}

export interface SessionOptions {
  readonly provider: string;
  readonly reader: Reader;
  readonly idle: IdleOptions;
  readonly signal: AbortSignal;
}

/** Seconds as Deepgram counts, in whole milliseconds. */
export function ms(seconds: number): number {
  return Math.round(seconds * 1000);
}

/** Feeds the audio, and ends when all of it has been recognised. */
export async function* recognise(
  { connection, socket, messages }: DeepgramLink<Listening>,
  audio: AsyncIterable<Uint8Array>,
  { provider, reader, idle, signal }: SessionOptions,
): AsyncIterable<Recognition> {
  const feeding = feed(audio, {
    socket,
    send(chunk) {
      connection.sendMedia(chunk);
      socket.expectReply(REPLY_TIMEOUT_MS);
    },
    finish() {
      connection.sendCloseStream({ type: "CloseStream" });
      socket.expectReply(REPLY_TIMEOUT_MS);
    },
    idle,
  });
  try {
    for await (const message of messages) {
      for (const recognition of reader.read(message)) {
        yield recognition;
        signal.throwIfAborted();
      }
    }
    if (!feeding.isFinished()) throw providerError(provider, "it closed while audio was flowing");
    yield* reader.end();
  } finally {
    feeding.stop();
  }
}
