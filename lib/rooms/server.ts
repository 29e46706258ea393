/** The listener of the process that joins rooms: for servers that show its token, and for nobody else. */

import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "@/lib/clock.ts";
import type { Log } from "@/lib/log.ts";
import type { Secret } from "@/lib/secret.ts";
import { acceptSockets, bind } from "@/lib/socket_server.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import type { JoinRoom } from "./room.ts";
import { serveRoom } from "./session.ts";

/** Rooms at once: each is a WebRTC connection, with an Opus encoder and decoder. */
const ROOMS_MAX = 200;
const MESSAGE_BYTES_MAX = 16 * 1024;
/** A server sends 50 frames a second, a mark a word, and after a stall all that it held back. */
const RATE = { perSecond: 200, burst: 1_000 };
const SILENCE_MS = 10_000;

export interface RoomsServerOptions {
  readonly hostname: string;
  readonly port: number;
  readonly token: Secret;
  readonly join: JoinRoom;
  readonly clock: Clock;
  readonly log: Log;
}

export interface RoomsServer {
  readonly port: number;
  close(): Promise<void>;
}

export async function startRooms(options: RoomsServerOptions): Promise<RoomsServer> {
  const { hostname, port, join, clock, log } = options;
  const shown = `Bearer ${options.token.reveal()}`;
  const open = new Set<MessageSocket>();
  const server = createServer((request, response) => {
    response.writeHead(request.url === "/alive" ? 200 : 404).end();
  });
  const failed = (error: unknown): void => log.error("room socket crashed", { error });
  const rules = { clock, silenceMs: SILENCE_MS, rate: RATE };

  acceptSockets(server, { messageBytesMax: MESSAGE_BYTES_MAX, rules, failed }, (request) => {
    if (!isSame(request, shown)) return Promise.resolve({ type: "refuse", status: 401, body: "" });
    if (open.size === ROOMS_MAX) return Promise.resolve({ type: "refuse", status: 503, body: "" });
    return Promise.resolve({
      type: "accept",
      isBinary: true,
      opened(socket) {
        open.add(socket);
        serveRoom({ socket: closing(socket, () => open.delete(socket)), join, clock, log });
      },
    });
  });
  await bind(server, { hostname, port });

  return {
    port: (server.address() as AddressInfo).port, // it listens on TCP
    async close() {
      for (const socket of open) socket.close(1001, "The process ends");
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function isSame({ headers }: IncomingMessage, wanted: string): boolean {
  const text = new TextEncoder();
  const [given, made] = [text.encode(headers.authorization ?? ""), text.encode(wanted)];
  return given.length === made.length && timingSafeEqual(given, made);
}

/** The socket, whose end is noticed. */
function closing(socket: MessageSocket, gone: () => void): MessageSocket {
  return {
    get bufferedBytes() {
      return socket.bufferedBytes;
    },
    send: (data) => socket.send(data),
    close: (code, reason) => socket.close(code, reason),
    listen: (events) =>
      socket.listen({
        message: events.message,
        closed(code, reason) {
          gone();
          events.closed(code, reason);
        },
      }),
  };
}
