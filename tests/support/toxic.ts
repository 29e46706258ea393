/** A provider's line that is ill: a TCP proxy before a protocol server, with the one fault that it was made for. */

import { connect, createServer, type Socket } from "node:net";
import { type Cancel, systemClock } from "@/lib/clock.ts";

/** What happens to every connection through it. */
export const TOXICS = [
  /** Nobody listens. */
  "refuse",
  /** The name has no address. */
  "dns",
  /** What answers speaks no TLS. */
  "tls",
  /** It reads the request, and never answers. */
  "hangHead",
  /** It answers, and stops in the middle of it. */
  "hangStream",
  /** Its whole answer comes at a byte a second. */
  "trickle",
  "status429",
  "status500",
  "status503",
  /** Behind the head, and the beginning of what it has to say, comes noise. */
  "garbage",
  /** The connection ends in order, in the middle of a frame. */
  "truncated",
  /** The connection is reset in the middle of the answer. */
  "reset",
  /** An answer of 100 MB. */
  "huge",
  /** From the middle of the answer on nothing goes either way, and nothing is closed. */
  "halfOpen",
] as const;

export type Toxic = typeof TOXICS[number];

export interface ToxicOptions {
  readonly toxic: Toxic;
  /** The server behind it: `http://127.0.0.1:PORT`, with or without a path. */
  readonly to: string;
  /** Bytes of the answer behind its head that come as they should: to the middle of a frame. */
  readonly healthyBytes: number;
  /** What a reply of 100 MB is made of. */
  readonly hugeAs: "websocket" | "chunked";
}

export interface ToxicLine {
  /** Where to connect to in place of `to`. */
  readonly url: string;
  /** Connections through it so far, and those that are open. */
  readonly count: number;
  readonly openCount: number;
  /** Bytes that it has sent to clients. */
  readonly sentBytes: number;
  /** A half-open line begins to read again, and so sees which clients have gone. */
  wake(): void;
  close(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";
const TRICKLE_MS = 1_000;
const HUGE_BYTES = 100 << 20;
const PIECE_BYTES = 64 << 10;
const HEAD_END = "\r\n\r\n";

export async function startToxic(options: ToxicOptions): Promise<ToxicLine> {
  const { toxic, to } = options;
  const { port: target, pathname } = new URL(to);
  const path = pathname === "/" ? "" : pathname;
  const open = new Set<Socket>();
  const cancels = new Set<Cancel>();
  let count = 0;
  let sentBytes = 0;

  function keep(socket: Socket): void {
    open.add(socket);
    socket.on("error", () => {}); // the close that follows says enough
    socket.on("close", () => void open.delete(socket));
  }

  function send(client: Socket, data: Uint8Array): boolean {
    if (client.destroyed) return false;
    sentBytes += data.length;
    return client.write(data);
  }

  function trickle(client: Socket, waiting: number[]): void {
    const byte = waiting.shift();
    if (byte !== undefined) send(client, Uint8Array.of(byte));
    if (!client.destroyed) later(() => trickle(client, waiting));
  }

  function later(callback: () => void): void {
    const cancel = systemClock.timer(TRICKLE_MS, () => {
      cancels.delete(cancel);
      callback();
    });
    cancels.add(cancel);
  }

  /** Sends as fast as the client takes it. */
  function flood(client: Socket): void {
    const pieces = options.hugeAs === "websocket" ? websocketPieces() : chunkedPieces();
    const pump = (): void => {
      for (;;) { // not `for of`, which would end the generator with the first pause
        const { done, value } = pieces.next();
        if (done) return void client.end();
        if (!send(client, value)) return;
      }
    };
    client.on("drain", pump);
    pump();
  }

  /** The answer has come to the middle: what is wrong with it begins. */
  function strike(client: Socket, server: Socket): void {
    switch (toxic) {
      case "garbage":
        send(client, noise());
        return void server.destroy();
      case "truncated":
        client.end();
        return void server.destroy();
      case "reset":
        client.resetAndDestroy();
        return void server.destroy();
      case "huge":
        server.destroy();
        return flood(client);
      case "halfOpen":
        client.pause();
        return void server.pause();
      default: // it goes on reading, and says no more
    }
  }

  function forward(client: Socket): void {
    const server = connect(Number(target), LOOPBACK);
    keep(server);
    const slow: number[] = [];
    let head = "";
    // A reply of 100 MB is whole frames from its beginning on: noise within one is another fault.
    let healthyBytes = toxic === "huge" ? 0 : options.healthyBytes;
    let hasStruck = false;
    if (toxic === "trickle") trickle(client, slow);
    client.on("data", (data) => {
      if (!(hasStruck && toxic === "halfOpen") && !server.destroyed) server.write(data);
    });
    client.on("close", () => server.destroy());
    server.on("data", (data: Uint8Array) => {
      if (hasStruck) return;
      if (toxic === "trickle") return void slow.push(...data);
      let rest = data;
      if (!head.includes(HEAD_END)) {
        const before = head.length;
        head += new TextDecoder("latin1").decode(data);
        const end = head.indexOf(HEAD_END);
        const headBytes = end === -1 ? data.length : end + HEAD_END.length - before;
        send(client, data.subarray(0, headBytes));
        rest = data.subarray(headBytes);
      }
      send(client, rest.subarray(0, healthyBytes));
      healthyBytes -= rest.length;
      if (healthyBytes > 0 || !head.includes(HEAD_END)) return;
      hasStruck = true;
      strike(client, server);
    });
    server.on("close", () => {
      if (!hasStruck && toxic !== "trickle") client.end();
    });
  }

  const listener = createServer((client) => {
    count++;
    keep(client);
    if (toxic === "hangHead") return void client.resume();
    if (toxic === "tls") {
      return void client.once("data", () => client.end("hello, who is there?\n"));
    }
    if (toxic.startsWith("status")) return refuse(client, Number(toxic.slice("status".length)));
    forward(client);
  });
  await new Promise<void>((resolve) => listener.listen(0, LOOPBACK, resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("No port");
  if (toxic === "refuse") await new Promise<void>((resolve) => listener.close(() => resolve()));

  return {
    url: toxic === "dns"
      ? `http://provider.invalid${path}`
      : `${toxic === "tls" ? "https" : "http"}://${LOOPBACK}:${address.port}${path}`,
    get count() {
      return count;
    },
    get openCount() {
      return open.size;
    },
    get sentBytes() {
      return sentBytes;
    },
    wake() {
      for (const socket of open) socket.resume();
    },
    async close() {
      for (const cancel of cancels) cancel();
      for (const socket of open) socket.destroy();
      if (listener.listening) await new Promise<void>((done) => listener.close(() => done()));
    },
  };
}

/** Answers every request of the connection so, once it has come whole. */
function refuse(client: Socket, status: number): void {
  const body = JSON.stringify({ error: { message: "not now", type: "server_error", code: null } });
  client.once("data", () => {
    client.resume();
    client.end(
      `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json\r\nRetry-After: 1\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
  });
}

/** No chunk's size, no frame: bytes with all their upper bits. */
function noise(): Uint8Array {
  return Uint8Array.from({ length: 4_096 }, (_, nth) => 0x80 | (nth * 37 % 128));
}

/** Frames of audio as a voice sends them: whole, well formed, and without end (RFC 6455 §5.2). */
function* websocketPieces(): Generator<Uint8Array> {
  const frame = new Uint8Array(PIECE_BYTES);
  frame.fill(0x55);
  const { length } = frame;
  frame.set([0x82, 127, 0, 0, 0, 0, 0, 0, (length - 10) >> 8, (length - 10) & 0xff]);
  for (let sent = 0; sent < HUGE_BYTES; sent += length) yield frame;
}

/** A body in chunks, without a line's end (RFC 9112 §7.1). */
function* chunkedPieces(): Generator<Uint8Array> {
  const head = new TextEncoder().encode(`${PIECE_BYTES.toString(16)}\r\n`);
  const chunk = new Uint8Array(head.length + PIECE_BYTES + 2).fill(0x20);
  chunk.set(head);
  chunk.set([13, 10], head.length + PIECE_BYTES);
  for (let sent = 0; sent < HUGE_BYTES; sent += PIECE_BYTES) yield chunk;
}
