/** WebSockets to providers: the one way adapters open them, and the second guarded door of socket callbacks. */

import type { IncomingMessage } from "node:http";
import { type RawData, WebSocket } from "ws";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { AppError } from "@/lib/errors.ts";
import { providerError } from "./http.ts";
import { retryAfterOf } from "./retry_after.ts";

/** From the call to the end of the handshake: name, connection, TLS and upgrade. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Received and not yet read. Two minutes of speech in base64 are 1.3 MB; past this the socket fails. */
const UNREAD_MAX_BYTES = 8 << 20;
/** Sent and not yet taken by the network: two minutes of telephone audio. Past this the peer is dead. */
const UNSENT_MAX_BYTES = 1 << 20;
/** A message of ours is 64 KiB at the most, a provider's may hold seconds of audio in base64. */
const MESSAGE_MAX_BYTES = 1 << 20;
/** RFC 6455 §7.4.1: the peer found our data wrong, so sending it again will not help. */
const REFUSALS: readonly number[] = [1002, 1003, 1007, 1008];

export interface ConnectOptions {
  /** Named in errors. */
  readonly provider: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Aborting ends the connection in whatever state it is. */
  readonly signal: AbortSignal;
  readonly connectTimeoutMs?: number;
}

/**
 * An open connection. Iterating gives its messages, once: the loop ends when either side closes it
 * in order, and throws the signal's reason when aborted, else AppError("provider_failed"). Leaving
 * the loop closes it.
 */
export interface SocketClient extends AsyncIterable<string | Uint8Array> {
  /** Does nothing on a connection that has ended: the loop says how it did. */
  send(data: string | Uint8Array): void;
  /** A message must come within so long, or the connection counts as dead. Any message settles it. */
  expectReply(withinMs: number): void;
  /** Takes that back: nothing is owed until the next `expectReply`. */
  expectNothing(): void;
  /** Closes, and the loop throws `error`. */
  fail(error: unknown): void;
  /** Closes in order; calling it twice does nothing. */
  close(): void;
}

/**
 * Connects. `url` may begin with http or ws. Rejects with AppError("provider_failed"), its `status`
 * set where the server answered the handshake with one, or with the signal's reason.
 */
export function connectSocket(url: string, options: ConnectOptions): Promise<SocketClient> {
  const { provider, headers, clock, signal } = options;
  const connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  if (signal.aborted) return Promise.reject(signal.reason);

  // Not the runtime's own WebSocket: that one leaves Nagle's algorithm on (Deno 2.9.6), so that a
  // message waits for the acknowledgement of the one before, 40 ms and more; and it cannot be dropped.
  const socket = new WebSocket(url.replace(/^http/, "ws"), {
    headers,
    perMessageDeflate: false,
    maxPayload: MESSAGE_MAX_BYTES,
  });
  const opened = Promise.withResolvers<SocketClient>();
  const unread: (string | Uint8Array)[] = [];
  let unreadBytes = 0;
  let ended: { readonly error: unknown } | null = null; // a null error: closed in order
  let wake: (() => void) | null = null;
  let disarmReply: Cancel | null = null;
  let cause: Error | null = null;

  const failed = (what: string): AppError => providerError(provider, what);

  function expectNothing(): void {
    disarmReply?.();
    disarmReply = null;
  }

  function end(error: unknown): void {
    if (ended !== null) return;
    ended = { error };
    disarmConnect();
    expectNothing();
    signal.removeEventListener("abort", aborted);
    opened.reject(error ?? failed("it closed during the handshake"));
    wake?.();
  }

  /** Ends at once: what was not read is dropped, and the connection with it. */
  function abandon(error: unknown): void {
    unread.length = 0;
    end(error);
    socket.terminate();
  }

  function aborted(): void {
    abandon(signal.reason);
  }

  const disarmConnect = clock.timer(
    connectTimeoutMs,
    () => abandon(failed(`no connection within ${connectTimeoutMs} ms`)),
  );
  signal.addEventListener("abort", aborted, { once: true });

  // No callback below may throw: an uncaught error in one would end the process.
  socket.on("open", () => {
    disarmConnect();
    opened.resolve(client);
  });
  socket.on("unexpected-response", (_request, answer: IncomingMessage) => {
    const { statusCode: status, headers } = answer;
    const retryAfterS = retryAfterOf((name) => headers[name]?.toString());
    abandon(providerError(provider, `it answered ${status}`, {
      ...(status === undefined ? {} : { status }),
      retryAfterS,
    }));
  });
  socket.on("message", (data: RawData, isBinary: boolean) => {
    if (ended !== null || !(data instanceof Uint8Array)) return; // it is one, by ws' default
    expectNothing();
    // A copy: a small message must not keep the whole of what came with it.
    const message = isBinary ? new Uint8Array(data) : data.toString();
    unread.push(message);
    unreadBytes += message.length;
    if (unreadBytes > UNREAD_MAX_BYTES) {
      abandon(failed(`over ${UNREAD_MAX_BYTES} bytes of it are unread`));
    }
    wake?.();
  });
  socket.on("error", (error) => {
    cause = error; // the close that follows ends it
  });
  socket.on("close", (code: number, reason: Uint8Array) => {
    if (code === 1000 || code === 1005) return end(null);
    const what = code === 1006
      ? "its connection was lost"
      : `it closed with ${code} ${new TextDecoder().decode(reason)}`.trimEnd();
    const retryable = !REFUSALS.includes(code);
    end(providerError(provider, what, { retryable, ...(cause === null ? {} : { cause }) }));
  });

  const client: SocketClient = {
    send(data) {
      if (ended !== null) return;
      if (socket.bufferedAmount > UNSENT_MAX_BYTES) return abandon(failed("it does not read"));
      socket.send(data);
    },
    expectReply(withinMs) {
      if (ended !== null || disarmReply !== null) return;
      disarmReply = clock.timer(withinMs, () => {
        abandon(failed(`no message came within ${withinMs} ms`));
      });
    },
    expectNothing,
    fail: abandon,
    close() {
      end(null);
      socket.close(1000);
    },
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          const message = unread.shift();
          if (message !== undefined) {
            unreadBytes -= message.length;
            yield message;
          } else if (ended === null) {
            await new Promise<void>((resolve) => wake = resolve);
          } else if (ended.error === null) {
            return;
          } else {
            throw ended.error;
          }
        }
      } finally {
        if (ended === null) abandon(null);
      }
    },
  };
  return opened.promise;
}

/** What a message says; null for bytes and for text that is not JSON. */
export function jsonOf(message: string | Uint8Array): unknown {
  if (typeof message !== "string") return null;
  try {
    return JSON.parse(message);
  } catch {
    return null;
  }
}
