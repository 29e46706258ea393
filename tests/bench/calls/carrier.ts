/** A carrier for `bench calls`: real sockets, as cheap as they can be. It keeps when what came, and works it out after the run. */

import { WebSocket } from "ws";
import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS } from "@/lib/audio/frame.ts";
import { type Cancel, systemClock } from "@/lib/clock.ts";
import { signatureOf } from "@/lib/providers/carrier/signature.ts";
import { writeNumber } from "./ears.ts";

/** What came over the media socket of a call, with its time in milliseconds. */
export interface Arrivals {
  /** Of each media message, and the bytes of audio in it. */
  readonly mediaAt: number[];
  readonly mediaBytes: number[];
  readonly clearAt: number[];
}

export interface BenchCall {
  readonly arrivals: Arrivals;
  /** What has been played and not cleared of what was sent. */
  readonly isPlaying: boolean;
  /** Sends the frame that is due. */
  frame(): void;
  hangUp(): void;
}

export interface Ring {
  /** Where the server is, and what it believes it is reached at. */
  readonly port: number;
  readonly url: string;
  readonly authToken: string;
  readonly number: number;
  readonly to: string;
}

/** Phones over the signed webhook, as the carrier does, and opens the media socket that it is told of. */
export async function ring({ port, url, authToken, number, to }: Ring): Promise<BenchCall> {
  const callSid = `CA${String(number).padStart(32, "0")}`;
  const form = new URLSearchParams({
    CallSid: callSid,
    AccountSid: `AC${"0".repeat(32)}`,
    From: "+15550199000",
    To: to,
    CallStatus: "ringing",
    Direction: "inbound",
  });
  const response = await fetch(`http://127.0.0.1:${port}/twilio/voice`, {
    method: "POST",
    body: form,
    headers: { "X-Twilio-Signature": signatureOf(authToken, `${url}/twilio/voice`, form) },
  });
  const twiml = await response.text();
  const stream = /<Stream url="([^"]+)"/.exec(twiml)?.[1];
  const token = /name="token" value="([^"]+)"/.exec(twiml)?.[1];
  if (stream === undefined || token === undefined) throw new Error(`Not connected: ${twiml}`);
  const signature = signatureOf(authToken, stream);
  const at = `ws://127.0.0.1:${port}${new URL(stream).pathname}`;
  return await openMedia(at, { callSid, number, token, signature });
}

/** A media socket without a ring: of the relay. */
export async function openMedia(
  url: string,
  { callSid, number, token, signature }: {
    readonly callSid: string;
    readonly number: number;
    readonly token: string;
    readonly signature: string;
  },
): Promise<BenchCall> {
  const streamSid = `MZ${String(number).padStart(32, "0")}`;
  const audio = new Uint8Array(FRAME_BYTES).fill(0xfe);
  writeNumber(audio, number % 2_000); // the rest counts rings
  const payload = audio.toBase64();
  const arrivals: Arrivals = { mediaAt: [], mediaBytes: [], clearAt: [] };
  const socket = new WebSocket(url, {
    headers: { "X-Twilio-Signature": signature },
    perMessageDeflate: false,
  });
  let sequence = 1;
  let playedUntil = 0;
  const due: { readonly name: string; readonly cancel: Cancel }[] = [];

  function returnMark(name: string): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(
      `{"event":"mark","sequenceNumber":"${++sequence}","streamSid":"${streamSid}","mark":{"name":"${name}"}}`,
    );
  }

  socket.on("error", () => {});
  socket.on("message", (data) => {
    const text = String(data);
    const now = systemClock.now();
    // By hand: JSON would cost the load more than the server.
    if (text.startsWith('{"event":"media"')) {
      const bytes = Math.floor((text.length - text.indexOf('"payload":"') - 14) * 3 / 4);
      arrivals.mediaAt.push(now);
      arrivals.mediaBytes.push(bytes);
      playedUntil = Math.max(playedUntil, now) + bytes / BYTES_PER_MS;
    } else if (text.startsWith('{"event":"mark"')) {
      const name = /"name":"([^"]*)"/.exec(text)?.[1] ?? "";
      const mark = {
        name,
        cancel: systemClock.timer(playedUntil - now, () => {
          due.splice(due.indexOf(mark), 1);
          returnMark(name);
        }),
      };
      due.push(mark);
    } else if (text.startsWith('{"event":"clear"')) {
      arrivals.clearAt.push(now);
      playedUntil = now;
      for (const { name, cancel } of due.splice(0)) {
        cancel();
        returnMark(name);
      }
    }
  });
  await new Promise<void>((resolve, reject) => {
    socket.on("open", () => resolve());
    socket.on("close", (code) => reject(new Error(`Media socket closed with ${code}`)));
  });
  socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}');
  socket.send(JSON.stringify({
    event: "start",
    sequenceNumber: "1",
    streamSid,
    start: {
      accountSid: `AC${"0".repeat(32)}`,
      streamSid,
      callSid,
      tracks: ["inbound"],
      mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
      customParameters: { token },
    },
  }));
  let chunk = 0;
  return {
    arrivals,
    get isPlaying() {
      return playedUntil > systemClock.now();
    },
    frame() {
      if (socket.readyState !== WebSocket.OPEN) return;
      chunk++;
      socket.send(
        `{"event":"media","sequenceNumber":"${++sequence}","media":{"track":"inbound","chunk":"${chunk}","timestamp":"${
          chunk * FRAME_MS
        }","payload":"${payload}"},"streamSid":"${streamSid}"}`, // in Twilio's order
      );
    },
    hangUp() {
      for (const { cancel } of due.splice(0)) cancel();
      if (socket.readyState !== WebSocket.OPEN) return;
      socket.send(
        `{"event":"stop","sequenceNumber":"${++sequence}","streamSid":"${streamSid}","stop":{"callSid":"${callSid}"}}`,
      );
      socket.close();
    },
  };
}
