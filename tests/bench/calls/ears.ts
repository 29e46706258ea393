/** A recogniser for `bench calls`: it reads from the first frame whose call it hears, and says what it is told to. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";

/** One session. Messages are those of Deepgram's v1 interface. */
export interface Ear {
  /** Words that are not final yet. */
  interim(text: string): void;
  /** The final words, which end the utterance. */
  final(text: string): void;
}

/** While audio flows a result comes about every second, silence or not. */
const EMPTY_EVERY_BYTES = 1_000 * BYTES_PER_MS;

export interface Ears {
  readonly url: string;
  /** The session of the call of this number; undefined while it has sent nothing. */
  of(call: number): Ear | undefined;
  close(): Promise<void>;
}

export async function startEars(): Promise<Ears> {
  const ears = new Map<number, Ear>();
  const server = createServer((_request, response) => response.end());
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on("connection", (socket) => {
    let bytes = 0;
    socket.on("error", () => {});
    socket.on("message", (data: RawData, isBinary: boolean) => {
      if (!isBinary || !(data instanceof Uint8Array)) return;
      if (bytes === 0) ears.set(readNumber(data), ear(socket, () => bytes));
      bytes += data.length;
      if (bytes % EMPTY_EVERY_BYTES < data.length) send(socket, bytes, "", false);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    of: (call) => ears.get(call),
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets.clients) socket.terminate();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function ear(socket: WebSocket, bytes: () => number): Ear {
  return {
    interim: (text) => send(socket, bytes(), text, false),
    final: (text) => send(socket, bytes(), text, true),
  };
}

function send(socket: WebSocket, bytes: number, text: string, isFinal: boolean): void {
  const end = bytes / BYTES_PER_MS / 1_000;
  const start = Math.max(0, end - 0.5);
  const words = text === "" ? [] : [{ word: text, start, end, confidence: 0.99 }];
  socket.send(JSON.stringify({
    type: "Results",
    channel_index: [0, 1],
    start,
    duration: end - start,
    is_final: isFinal,
    speech_final: isFinal,
    channel: { alternatives: [{ transcript: text, confidence: 0.99, words }] },
  }));
}

const DIGIT_MAX = 100;

/** A frame of caller audio with its call's number in the first two samples. */
export function writeNumber(frame: Uint8Array, call: number): void {
  frame[0] = 0x80 + Math.floor(call / DIGIT_MAX);
  frame[1] = 0x80 + call % DIGIT_MAX;
}

function readNumber(frame: Uint8Array): number {
  return ((frame[0] ?? 0) - 0x80) * DIGIT_MAX + (frame[1] ?? 0) - 0x80;
}
