/** A provider on loopback: a WebSocket server that checks keys and misbehaves when a test asks it to. */

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, sleep } from "@/lib/clock.ts";
import { type WebSocket, WebSocketServer } from "ws";

/** How the next connection fails. Each is used once, in the order given. */
export type Fault =
  /** Answers the handshake with a status. */
  | { readonly type: "refuse"; readonly status: number }
  /** Never answers the handshake. */
  | { readonly type: "silentHandshake" }
  /** Accepts, and never says a word. */
  | { readonly type: "silent" }
  /** Cuts the connection in place of its message number `at` (from 0). */
  | { readonly type: "drop"; readonly at: number }
  /** Closes in order, with this code, in place of that message. */
  | { readonly type: "close"; readonly at: number; readonly code: number; readonly reason: string }
  /** Sends this in place of that message. */
  | { readonly type: "garbage"; readonly at: number; readonly data: string | Uint8Array };

/** The provider's end of one connection. */
export interface Peer {
  /** Objects go as JSON text, bytes as they are. */
  send(message: Readonly<Record<string, unknown>> | Uint8Array): void;
  /** Without a code: as 1005 to the other side. */
  close(code?: number, reason?: string): void;
}

/** What a provider does with a connection. */
export interface Session {
  text(message: string): void;
  bytes(message: Uint8Array): void;
  closed(): void;
}

export interface ProtocolOptions {
  /** The status to refuse a handshake with, or what to do with the connection. */
  accept(request: IncomingMessage, url: URL): number | ((peer: Peer) => Session);
  /** The network's and the encryption's part of a handshake; 0 when absent. */
  readonly handshake?: { readonly clock: Clock; readonly ms: number };
}

export interface ProtocolServer {
  /** As a setting would say it: `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Connections that were accepted so far. */
  readonly acceptedCount: number;
  /** Messages that came from clients so far. */
  readonly receivedCount: number;
  /** The next connections fail so. */
  failNext(...faults: Fault[]): void;
  /** Closes what is open, in order, with this code. */
  closeOpen(code: number): void;
  /** Resolves when no connection is open. */
  allClosed(): Promise<void>;
  /** Cuts what is open and stops. */
  close(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";

export async function startProtocolServer(options: ProtocolOptions): Promise<ProtocolServer> {
  const faults: Fault[] = [];
  const streams = new Set<Duplex>();
  const idle: (() => void)[] = [];
  let acceptedCount = 0;
  let receivedCount = 0;
  const server = createServer((_request, response) => {
    response.writeHead(426).end(); // there is no plain request in these protocols
  });
  const sockets = new WebSocketServer({ noServer: true });

  server.on("upgrade", async (request: IncomingMessage, stream: Duplex, head: Uint8Array) => {
    streams.add(stream);
    stream.on("error", () => {}); // the client left in the middle of something
    stream.on("close", () => {
      streams.delete(stream);
      if (streams.size === 0) idle.splice(0).forEach((resolve) => resolve());
    });
    const fault = faults.shift();
    if (fault?.type === "silentHandshake") return;
    if (fault?.type === "refuse") return refuse(stream, fault.status);
    const accepted = options.accept(request, new URL(request.url ?? "/", `http://${LOOPBACK}`));
    if (typeof accepted === "number") return refuse(stream, accepted);
    acceptedCount++;
    if (options.handshake !== undefined) await sleep(options.handshake.clock, options.handshake.ms);
    // Node's Buffer is what ws expects of what node:http gives it.
    sockets.handleUpgrade(
      request,
      stream,
      head as Parameters<typeof sockets.handleUpgrade>[2],
      (ws) => {
        ws.on("message", () => receivedCount++);
        serve(ws, stream, accepted, fault);
      },
    );
  });

  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP

  return {
    url: `http://${LOOPBACK}:${port}`,
    get acceptedCount() {
      return acceptedCount;
    },
    get receivedCount() {
      return receivedCount;
    },
    failNext: (...next) => void faults.push(...next),
    closeOpen(code) {
      for (const client of sockets.clients) client.close(code);
    },
    allClosed: () =>
      streams.size === 0 ? Promise.resolve() : new Promise((resolve) => idle.push(resolve)),
    async close() {
      for (const stream of streams) stream.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function refuse(stream: Duplex, status: number): void {
  const body = JSON.stringify({ error: status });
  stream.end(
    `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json\r\nRetry-After: 1\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function serve(ws: WebSocket, stream: Duplex, open: (peer: Peer) => Session, fault?: Fault): void {
  let sentCount = 0;

  /** True when the fault takes the place of the message that was to be sent. */
  function misbehaves(): boolean {
    if (fault?.type === "silent") return true;
    if (fault === undefined || !("at" in fault) || sentCount++ !== fault.at) return false;
    if (fault.type === "drop") stream.destroy();
    if (fault.type === "close") ws.close(fault.code, fault.reason);
    if (fault.type === "garbage") ws.send(fault.data);
    return true;
  }

  const session = open({
    send(message) {
      if (ws.readyState !== ws.OPEN || misbehaves()) return;
      ws.send(message instanceof Uint8Array ? message : JSON.stringify(message));
    },
    close: (code, reason) => ws.close(code, reason),
  });
  ws.on("error", () => {}); // the close that follows says enough
  ws.on("message", (data: Uint8Array, isBinary: boolean) => {
    if (isBinary) session.bytes(new Uint8Array(data));
    else session.text(new TextDecoder().decode(data));
  });
  ws.on("close", () => session.closed());
}
