/**
 * The floor of `bench calls`: a relay with the same sockets and nothing in between. Media goes on to the recogniser,
 * frames go out, and the end of a turn is answered at once, with a `clear` to be told from the frames.
 */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { systemClock } from "@/lib/clock.ts";
import { FRAME_BYTES, FRAME_MS } from "@/lib/audio/frame.ts";

const TICK_MS = 5;

const [sttUrl = "", speakingShare = "0"] = Deno.args;
const payload = new Uint8Array(FRAME_BYTES).fill(0xaa).toBase64();
interface Call {
  readonly media: WebSocket;
  readonly streamSid: string;
  readonly startedAt: number;
  sent: number;
}
const calls = new Set<Call>();

/** Speaks for the share of every ten seconds that agents speak for. */
function tick(): void {
  const now = systemClock.now();
  for (const call of calls) {
    const due = Math.floor((now - call.startedAt) / FRAME_MS);
    for (; call.sent < due; call.sent++) {
      if (call.sent % 500 >= 500 * Number(speakingShare)) continue;
      call.media.send(
        `{"event":"media","streamSid":"${call.streamSid}","media":{"payload":"${payload}"}}`,
      );
    }
  }
  systemClock.timer(TICK_MS, tick);
}
tick();

const server = createServer((_request, response) => response.end());
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (media) => {
  const stt = new WebSocket(`${sttUrl.replace(/^http/, "ws")}/v1/listen`, {
    perMessageDeflate: false,
  });
  let call: Call | null = null;
  media.on("error", () => {});
  stt.on("error", () => {});
  stt.on("message", (data) => {
    if (call === null || JSON.parse(String(data)).is_final !== true) return;
    media.send(`{"event":"clear","streamSid":"${call.streamSid}"}`);
  });
  media.on("message", (data) => {
    const message = JSON.parse(String(data));
    if (message.event === "start") {
      call = { media, streamSid: message.start.streamSid, startedAt: systemClock.now(), sent: 0 };
      calls.add(call);
    }
    if (message.event !== "media" || stt.readyState !== WebSocket.OPEN) return;
    stt.send(Uint8Array.fromBase64(message.media.payload));
  });
  media.on("close", () => {
    if (call !== null) calls.delete(call);
    stt.terminate();
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo; // it listens on TCP
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify({ port, url: "" })}\n`));
});
