/** OpenAI's speech endpoint on loopback: speaks tones at 24 kHz, in pieces that end in the middle of a sample. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { z } from "zod";
import { newVoice } from "@/lib/audio/modem.ts";
import { decodeMulaw } from "@/lib/audio/mulaw.ts";
import { openaiError } from "./openai.ts";

const SpeechRequest = z.strictObject({
  model: z.string().min(1),
  input: z.string().min(1).max(4096),
  voice: z.string().min(1),
  response_format: z.literal("pcm"),
  stream_format: z.literal("audio"),
  speed: z.number().min(0.25).max(4).optional(),
});

export type SpeechRequest = z.infer<typeof SpeechRequest>;

export type SpeechBehaviour =
  | { readonly type: "good" }
  | { readonly type: "status"; readonly status: 401 | 429 | 500 | 503 }
  /** Never answers, or stops in the middle of the audio and stays. */
  | { readonly type: "hang"; readonly afterPieces: number | null }
  | { readonly type: "lost"; readonly afterPieces: number }
  | { readonly type: "mute" };

export interface SpeechServer {
  readonly url: string;
  readonly requests: readonly SpeechRequest[];
  /** Answers that are not over. */
  readonly openCount: number;
  readonly acceptedCount: number;
  readonly receivedCount: number;
  behave(behaviour: SpeechBehaviour): void;
  failNext(): void;
  allClosed(): Promise<void>;
  close(): Promise<void>;
}

/** Odd, so that most pieces end within a sample. */
const PIECE_BYTES = 4_801;
const SAMPLES = 3;

export async function startOpenAISpeech(apiKey = "sk-test"): Promise<SpeechServer> {
  const requests: SpeechRequest[] = [];
  const waiting: (() => void)[] = [];
  let behaviour: SpeechBehaviour = { type: "good" };
  let openCount = 0;

  function fail(response: ServerResponse, status: number, message: string | null): void {
    response.writeHead(status, { "content-type": "application/json", connection: "close" })
      .end(JSON.stringify(openaiError(status, message)));
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    openCount++;
    response.on("close", () => {
      if (--openCount === 0) waiting.splice(0).forEach((resolve) => resolve());
    });
    const { method, url, headers } = request;
    if (method !== "POST" || url !== "/v1/audio/speech") return fail(response, 404, "No such URL");
    if (headers.authorization !== `Bearer ${apiKey}`) return fail(response, 401, null);
    const body = SpeechRequest.safeParse(await json(request));
    if (!body.success) return fail(response, 400, z.prettifyError(body.error));
    requests.push(body.data);
    const now = behaviour;
    if (now.type === "status") return fail(response, now.status, null);
    if (now.type === "hang" && now.afterPieces === null) return;
    response.writeHead(200, { "content-type": "audio/pcm", connection: "close" });
    response.flushHeaders();
    const audio = now.type === "mute" ? new Uint8Array() : pcmOf(body.data.input);
    for (let nth = 0; nth * PIECE_BYTES < audio.length; nth++) {
      if (now.type === "hang" && nth === now.afterPieces) return;
      if (now.type === "lost" && nth === now.afterPieces) {
        return void response.socket?.destroySoon();
      }
      const piece = audio.subarray(nth * PIECE_BYTES, (nth + 1) * PIECE_BYTES);
      await new Promise<unknown>((resolve) => response.write(piece, resolve));
    }
    response.end();
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error) => response.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    get openCount() {
      return openCount;
    },
    get acceptedCount() {
      return requests.length;
    },
    get receivedCount() {
      return requests.length;
    },
    behave: (next) => void (behaviour = next),
    failNext: () => {},
    allClosed: () =>
      openCount === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve)),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A tone that is no speech: beyond what a telephone may be sent, so a low-pass must remove it. */
const BEYOND = { hz: 6_000, level: 3_000 };
/** Telephone samples on each side that an interpolated one is made of. */
const REACH = 24;

/** At three times the telephone's rate: its samples, and between them what a wave within its band has there. */
function pcmOf(text: string): Uint8Array {
  const parts = [...newVoice().say(text)].map(({ audio }) => decodeMulaw(audio));
  const samples = parts.flatMap((part) => [...part]);
  const bytes = new Uint8Array(samples.length * SAMPLES * 2);
  const view = new DataView(bytes.buffer);
  for (let n = 0; n < samples.length * SAMPLES; n++) {
    const beyond = BEYOND.level * Math.sin(2 * Math.PI * BEYOND.hz * n / (8_000 * SAMPLES));
    const level = interpolated(samples, n / SAMPLES) + beyond;
    view.setInt16(2 * n, Math.max(-0x8000, Math.min(0x7fff, Math.round(level))), true);
  }
  return bytes;
}

function interpolated(samples: readonly number[], at: number): number {
  if (Number.isInteger(at)) return samples[at] ?? 0;
  const first = Math.floor(at) - REACH + 1;
  let sum = 0;
  for (let i = first; i < first + 2 * REACH; i++) {
    const x = Math.PI * (at - i);
    const window = Math.cos(x / (2 * REACH)) ** 2;
    sum += (samples[i] ?? 0) * window * Math.sin(x) / x;
  }
  return sum;
}
