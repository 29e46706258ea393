/** WebSockets to providers: the one way adapters open them, and the second guarded door of socket callbacks. */

import type { Cancel, Clock } from "@/lib/clock.ts";
import type { AppError } from "@/lib/errors.ts";
import { providerError } from "./http.ts";

/** From the call to the end of the handshake: name, connection, TLS and upgrade. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Received and not yet read. Two minutes of speech in base64 are 1.3 MB; past this the socket fails. */
const UNREAD_MAX_BYTES = 8 << 20;
/** Sent and not yet taken by the network: two minutes of telephone audio. Past this the peer is dead. */
const UNSENT_MAX_BYTES = 1 << 20;
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

  const socket = new WebSocket(url.replace(/^http/, "ws"), { headers: { ...headers } });
  socket.binaryType = "arraybuffer";
  const opened = Promise.withResolvers<SocketClient>();
  const unread: (string | Uint8Array)[] = [];
  let unreadBytes = 0;
  let ended: { readonly error: unknown } | null = null; // a null error: closed in order
  let wake: (() => void) | null = null;
  let disarmReply: Cancel | null = null;
  let lastError = "its connection was lost";

  const failed = (what: string): AppError => providerError(provider, what);

  function end(error: unknown): void {
    if (ended !== null) return;
    ended = { error };
    disarmConnect();
    disarmReply?.();
    signal.removeEventListener("abort", aborted);
    // A peer that never answers leaves this handshake open until its TCP connection ends: the
    // runtime has no way to drop a client's WebSocket (Deno 2.9.6).
    socket.close();
    opened.reject(error ?? failed("it closed during the handshake"));
    wake?.();
  }

  /** Ends at once: what was not read is dropped. */
  function abandon(error: unknown): void {
    unread.length = 0;
    end(error);
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
  socket.onopen = () => {
    disarmConnect();
    opened.resolve(client);
  };
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (ended !== null) return;
    disarmReply?.();
    disarmReply = null;
    const message = typeof data === "string" ? data : new Uint8Array(data);
    unread.push(message);
    unreadBytes += message.length;
    if (unreadBytes > UNREAD_MAX_BYTES) {
      abandon(failed(`over ${UNREAD_MAX_BYTES} bytes of it are unread`));
    }
    wake?.();
  };
  socket.onerror = (event) => {
    if ("message" in event) lastError = String(event.message);
  };
  socket.onclose = ({ code, reason, wasClean }) => {
    if (wasClean && (code === 1000 || code === 1005)) return end(null);
    // Deno puts the status of a refused handshake into the error's text and nowhere else (2.9.6).
    const status = Number(/status code: (\d{3})/.exec(lastError)?.[1] ?? NaN);
    if (!Number.isNaN(status)) end(providerError(provider, `it answered ${status}`, { status }));
    else if (!wasClean) end(failed(lastError));
    else {
      const retryable = !REFUSALS.includes(code);
      end(providerError(provider, `it closed with ${code} ${reason}`.trimEnd(), { retryable }));
    }
  };

  const client: SocketClient = {
    send(data) {
      if (ended !== null) return;
      if (socket.bufferedAmount > UNSENT_MAX_BYTES) return abandon(failed("it does not read"));
      // A view of a shared buffer cannot come here: our audio is made of plain arrays.
      socket.send(data as string | Uint8Array<ArrayBuffer>);
    },
    expectReply(withinMs) {
      if (ended !== null || disarmReply !== null) return;
      disarmReply = clock.timer(withinMs, () => {
        abandon(failed(`no message came within ${withinMs} ms`));
      });
    },
    fail: abandon,
    close: () => end(null),
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
        abandon(null);
      }
    },
  };
  return opened.promise;
}
