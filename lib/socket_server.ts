/** The server's side of the guarded door: connections counted, upgrades decided, sockets handed over. */

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import { WebSocketServer } from "ws";
import type { Cancel, Clock } from "./clock.ts";
import { CLOSE_TIMEOUT, fromWs, type MessageSocket, type SocketRules } from "./socket.ts";

/** Answers an upgrade: with a socket, or with a plain HTTP response. Exactly one of the two. */
export type UpgradeAnswer =
  | {
    readonly type: "accept";
    opened(socket: MessageSocket): void;
    /** True: binary messages are of its protocol. Absent: they close the socket. */
    readonly isBinary?: boolean;
    /** True: whoever opened it still counts against its address. */
    readonly isStranger?: boolean;
  }
  | { readonly type: "refuse"; readonly status: number; readonly body: string };

export interface AcceptOptions {
  /** A longer message, whole or in fragments, closes the socket with 1009. */
  readonly messageBytesMax: number;
  readonly rules: SocketRules;
  /** The answer could not be found: a bug, or a throw in `opened`. The peer is told 500. */
  failed(error: unknown): void;
}

/** Lets `answer` decide over every WebSocket upgrade that reaches a server. */
export function acceptSockets(
  server: Server,
  options: AcceptOptions,
  answer: (request: IncomingMessage) => Promise<UpgradeAnswer>,
): void {
  const upgrader = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.messageBytesMax,
    ...CLOSE_TIMEOUT,
  });

  async function upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): Promise<void> {
    raw.on("error", () => {}); // a reset while the answer is being found; `ws` adds its own listener
    try {
      const answered = await answer(request);
      if (answered.type === "refuse") return refuse(raw, answered.status, answered.body);
      upgrader.handleUpgrade(request, raw, head, (ws) => {
        const textOnly = answered.isBinary !== true;
        answered.opened(fromWs(ws, { ...options.rules, textOnly }));
      });
    } catch (error) {
      options.failed(error);
      refuse(raw, 500, "");
    }
  }
  server.on("upgrade", upgrade);
}

/** The whole of an HTTP answer, after which the connection ends. */
function refuse(raw: Duplex, status: number, body: string): void {
  if (raw.destroyed) return;
  const head = [
    `HTTP/1.1 ${status} Refused`,
    "Connection: close",
    "Content-Type: application/problem+json",
    `Content-Length: ${new TextEncoder().encode(body).length}`,
  ];
  raw.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => raw.destroy());
}

/** Listens. Rejects when the address is taken. */
/** Connections that the system holds until they are taken: a burst must not wait for its retries. */
const BACKLOG = 4_096;

export function bind(
  server: Server,
  options: { readonly hostname: string; readonly port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const { port, hostname: host } = options;
    server.listen({ port, host, backlog: BACKLOG }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

export interface Connections {
  /** This one counts no longer against its address. */
  vouch(socket: Socket): void;
  drop(): void;
}

export interface ConnectionBounds {
  readonly perAddressMax: number;
  /** A peer that takes nothing of what waits for it for so long is dropped. */
  readonly stalledMs: number;
  readonly clock: Clock;
}

/** Looks in one such time; a stalled peer is noticed at most one look late. */
const LOOKS = 8;

/** Counts the connections of each address, closes what is over the bound, and drops peers that do not read. */
export function boundConnections(server: Server, bounds: ConnectionBounds): Connections {
  const { perAddressMax, stalledMs, clock } = bounds;
  const sockets = new Set<Socket>();
  /** How far each peer with something waiting has come, and since when. */
  const stalls = new Map<Socket, { readonly flushed: number; readonly since: number }>();
  const addresses = new Map<Socket, string>();
  const counts = new Map<string, number>();

  function vouch(socket: Socket): void {
    const address = addresses.get(socket);
    if (address === undefined || !addresses.delete(socket)) return;
    const count = (counts.get(address) ?? 0) - 1;
    if (count > 0) counts.set(address, count);
    else counts.delete(address);
  }

  function look(): void {
    for (const socket of sockets) {
      const flushed = socket.bytesWritten - socket.writableLength;
      const stall = stalls.get(socket);
      if (socket.writableLength === 0) stalls.delete(socket);
      else if (stall?.flushed !== flushed) stalls.set(socket, { flushed, since: clock.now() });
      else if (clock.now() - stall.since >= stalledMs * (1 - 1 / LOOKS)) socket.destroy();
    }
    cancel = clock.timer(stalledMs / LOOKS, look);
  }
  let cancel: Cancel = () => {};
  server.once("listening", look);

  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (counts.get(address) ?? 0) + 1;
    if (count > perAddressMax) return void socket.destroy();
    counts.set(address, count);
    addresses.set(socket, address);
    sockets.add(socket);
    socket.once("close", () => {
      vouch(socket);
      sockets.delete(socket);
      stalls.delete(socket);
    });
  });

  return {
    vouch,
    drop() {
      cancel();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Requests of each connection that have no whole answer yet: a client may send the next ones before (RFC 9112 §9.3.2). */
const unanswered = new WeakMap<Socket, number>();

/** Counts a request of a connection until its answer is over. False when there are more of them than there may be. */
export function mayAsk(
  socket: Socket,
  outgoing: Pick<ServerResponse | Http2ServerResponse, "once">,
  most: number,
): boolean {
  const count = (unanswered.get(socket) ?? 0) + 1;
  unanswered.set(socket, count);
  outgoing.once("close", () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
  return count <= most;
}
