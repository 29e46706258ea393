/** The server's side of the guarded door: upgrades decided, sockets handed over. */

import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import { WebSocketServer } from "ws";
import { CLOSE_TIMEOUT, fromWs, type MessageSocket, type SocketRules } from "./socket.ts";

/** Answers an upgrade: with a socket, with a plain HTTP response, or by leaving the connection to another. */
export type UpgradeAnswer =
  | {
    readonly type: "accept";
    opened(socket: MessageSocket): void;
    /** True: binary messages are of its protocol. Absent: they close the socket. */
    readonly isBinary?: boolean;
    /** True: whoever opened it still counts against its address. */
    readonly isStranger?: boolean;
    /** One of us, whom its own protocol bounds: messages up to so many bytes, as many as it likes. */
    readonly trusted?: { readonly messageBytesMax: number };
  }
  | {
    readonly type: "refuse";
    readonly status: number;
    readonly body: string;
    readonly headers?: Readonly<Record<string, string>>;
  }
  | {
    readonly type: "carry";
    /** Takes the connection over, with what came behind the request's head; else says what to answer. */
    take(raw: Duplex, head: Uint8Array): Promise<UpgradeAnswer | null>;
    readonly isStranger?: boolean;
  };

export interface AcceptOptions {
  /** A longer message, whole or in fragments, closes the socket with 1009. */
  readonly messageBytesMax: number;
  /** But for whether it takes text alone, which each answer says. */
  readonly rules: Omit<SocketRules, "textOnly">;
  /** The answer could not be found: a bug, or a throw in `opened`. The peer is told 500. */
  failed(error: unknown): void;
}

/** Lets `answer` decide over every WebSocket upgrade that reaches a server. */
export function acceptSockets(
  server: Server,
  options: AcceptOptions,
  answer: (request: IncomingMessage) => Promise<UpgradeAnswer>,
): void {
  const upgraders = new Map<number, WebSocketServer>();
  function upgraderFor(maxPayload: number): WebSocketServer {
    const made = upgraders.get(maxPayload) ?? new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload,
      ...CLOSE_TIMEOUT,
    });
    upgraders.set(maxPayload, made);
    return made;
  }

  async function upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): Promise<void> {
    raw.on("error", () => {}); // a reset while the answer is being found; `ws` adds its own listener
    try {
      let answered: UpgradeAnswer | null = await answer(request);
      while (answered?.type === "carry") answered = await answered.take(raw, head);
      if (answered === null) return;
      if (answered.type === "refuse") return refuse(raw, answered);
      const { trusted, isBinary, opened } = answered;
      const upgrader = upgraderFor(trusted?.messageBytesMax ?? options.messageBytesMax);
      upgrader.handleUpgrade(request, raw, head, (ws) => {
        const rules = { ...options.rules, textOnly: isBinary !== true };
        opened(fromWs(ws, trusted === undefined ? rules : undefined, raw));
      });
    } catch (error) {
      options.failed(error);
      refuse(raw, { status: 500, body: "" });
    }
  }
  server.on("upgrade", upgrade);
}

/** The whole of an HTTP answer, after which the connection ends. */
function refuse(
  raw: Duplex,
  { status, body, headers = {} }: Omit<Extract<UpgradeAnswer, { type: "refuse" }>, "type">,
): void {
  if (raw.destroyed) return;
  const head = [
    `HTTP/1.1 ${status} Refused`,
    "Connection: close",
    "Content-Type: application/problem+json",
    `Content-Length: ${new TextEncoder().encode(body).length}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  raw.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => raw.destroy());
}

/** Connections that the system holds until they are taken: a burst must not wait for its retries. */
const BACKLOG = 4_096;

/** Listens. Rejects when the address is taken. */
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
