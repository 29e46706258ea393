/** A message socket as our code sees it, and the one guarded door through which socket callbacks enter. */

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import { WebSocket } from "ws";
import type { Cancel, Clock } from "./clock.ts";
import { AppError, messageOf } from "./errors.ts";

/**
 * A WebSocket, ours or a simulated one. Closing twice does nothing; sending on a closed one does
 * nothing; after `close` no message is delivered any more.
 */
export interface MessageSocket {
  /** Bytes accepted by `send` that have not left yet. */
  readonly bufferedBytes: number;
  send(data: string | Uint8Array): void;
  /**
   * Codes as RFC 6455 §7.4; the reason is at most 123 bytes. 1006, which no frame may carry, drops
   * the connection without a word.
   */
  close(code: number, reason: string): void;
  /**
   * Takes the events, once. What arrived before is delivered first. `closed` comes exactly once.
   * Callbacks must be guarded (`ctx.guard`): an uncaught throw in one would end the process.
   */
  listen(events: SocketEvents): void;
}

export interface SocketEvents {
  message(data: string | Uint8Array): void;
  /** 1006 when the connection broke, or when the peer broke the protocol: the reason then says how. */
  closed(code: number, reason: string): void;
}

/** What may arrive before `listen`; more closes the socket with 1008. */
export const EARLY_BYTES_MAX = 256 * 1024;
/** How long a peer may take to answer our close frame. Spread in: `ws` 8.23 knows it, its types do not. */
export const CLOSE_TIMEOUT = { closeTimeout: 2000 };

/** What a stranger's socket may do before it is closed. */
export interface SocketRules {
  readonly clock: Clock;
  /** After so long without a word we ping; after as long again without an answer the connection is dropped. */
  readonly silenceMs: number;
  /** A bucket of `burst` messages that fills at `perSecond`; a message too many closes with 1008. */
  readonly rate: { readonly perSecond: number; readonly burst: number };
  /** A binary message closes with 1008. */
  readonly textOnly: boolean;
}

/**
 * An open `ws` socket as a MessageSocket. Over `raw`, its connection, what is sent in one go leaves in one packet: each
 * costs the system as much as a frame costs us.
 */
export function fromWs(ws: WebSocket, rules?: SocketRules, raw?: Duplex): MessageSocket {
  const early: (string | Uint8Array)[] = [];
  let earlyBytes = 0;
  let events: SocketEvents | undefined;
  let phase: "open" | "closing" | "closed" = "open";
  let ending: { readonly code: number; readonly reason: string } | undefined;
  let failure = "";
  let heard = true;
  let cancelWatch: Cancel | undefined;
  let isGathering = false;

  const bucket = rules === undefined ? undefined : newBucket(rules.clock, rules.rate);

  function watch({ clock, silenceMs }: SocketRules): void {
    cancelWatch = clock.timer(silenceMs, () => {
      if (!heard) return ws.terminate();
      heard = false;
      if (ws.readyState === WebSocket.OPEN) ws.ping();
      if (rules !== undefined) watch(rules);
    });
  }

  /** Until the end of what runs now. */
  function gather(connection: Duplex): void {
    isGathering = true;
    connection.cork();
    queueMicrotask(release);
  }

  function release(): void {
    if (isGathering) raw?.uncork();
    isGathering = false;
  }

  function close(code: number, reason: string): void {
    if (phase !== "open") return;
    release();
    phase = "closing";
    early.length = 0;
    if (code === 1006) ws.terminate();
    else ws.close(code, reason);
  }

  function take(data: string | Uint8Array): void {
    if (phase !== "open") return;
    if (bucket?.take() === false) return close(1008, "Too many messages");
    if (rules?.textOnly && typeof data !== "string") return close(1008, "Binary message");
    if (events !== undefined) return events.message(data);
    earlyBytes += data.length;
    if (earlyBytes > EARLY_BYTES_MAX) return close(1008, "Too much before anybody listens");
    early.push(data);
  }

  ws.on("message", (data: Uint8Array, isBinary: boolean) => {
    heard = true;
    take(isBinary ? new Uint8Array(data) : String(data)); // `binaryType` is nodebuffer: never fragments
  });
  ws.on("pong", () => heard = true);
  // Without this listener an oversize frame would end the process. "close" always follows.
  ws.on("error", (error) => failure = messageOf(error));
  ws.on("close", (code: number, reason: Uint8Array) => {
    phase = "closed";
    cancelWatch?.();
    ending = { code, reason: new TextDecoder().decode(reason) || failure };
    events?.closed(ending.code, ending.reason);
  });
  if (rules !== undefined) watch(rules);

  return {
    get bufferedBytes() {
      return ws.bufferedAmount;
    },
    send(data) {
      if (phase !== "open" || ws.readyState !== WebSocket.OPEN) return;
      if (raw !== undefined && !isGathering) gather(raw);
      ws.send(data);
    },
    close,
    listen(given) {
      events = given;
      for (const data of early.splice(0)) if (phase !== "closing") given.message(data);
      if (ending !== undefined) given.closed(ending.code, ending.reason);
    },
  };
}

function newBucket(clock: Clock, rate: SocketRules["rate"]): { take(): boolean } {
  let level = rate.burst;
  let at = clock.now();
  return {
    take() {
      const now = clock.now();
      level = Math.min(rate.burst, level + (now - at) / 1000 * rate.perSecond) - 1;
      at = now;
      return level >= 0;
    },
  };
}

export interface OpenOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Offered in this order; the server takes one. */
  readonly protocols?: readonly string[];
  readonly signal?: AbortSignal;
  readonly messageBytesMax?: number;
}

/** Opens a socket to a server. Throws AppError("provider_failed") with the status of a refusal. */
export function openSocket(url: string, options: OpenOptions = {}): Promise<MessageSocket> {
  const { headers = {}, protocols = [], signal, messageBytesMax = 1024 * 1024 } = options;
  const ws = new WebSocket(url, [...protocols], {
    headers,
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
    ...CLOSE_TIMEOUT,
  });
  const socket = fromWs(ws);
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      ws.terminate();
      reject(signal?.reason);
    };
    const failed = (cause: unknown, status?: number): void => {
      signal?.removeEventListener("abort", abort);
      const message = `Cannot open socket: ${status ?? messageOf(cause)}`;
      reject(
        new AppError("provider_failed", message, {
          retryable: status === undefined || status === 429 || status >= 500,
          ...(status === undefined ? {} : { status }),
          cause,
        }),
      );
    };
    ws.on("open", () => {
      signal?.removeEventListener("abort", abort);
      resolve(socket);
    });
    ws.on("unexpected-response", (request, response: IncomingMessage) => {
      failed(undefined, response.statusCode);
      request.destroy();
    });
    ws.on("error", failed);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
