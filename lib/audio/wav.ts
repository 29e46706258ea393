/** WAV files of telephone audio: 16-bit PCM, which everything plays. http://soundfile.sapp.org/doc/WaveFormat/ */

import { SAMPLE_RATE, SILENCE } from "./frame.ts";
import { decodeMulaw } from "./mulaw.ts";

const SAMPLE_BYTES = 2;

interface Format {
  /** What the file says that it is. */
  readonly code: number;
  readonly sampleBytes: number;
}

/** µ-law is an extension of the format: it says how long its extension is, and how many samples there are. */
const FORMATS = {
  pcm: { code: 1, sampleBytes: SAMPLE_BYTES },
  mulaw: { code: 7, sampleBytes: 1 },
} as const satisfies Record<string, Format>;

/** What stands before the samples of a file; it holds its final length. */
export function wavHead({ format, channels, dataBytes }: {
  readonly format: keyof typeof FORMATS;
  readonly channels: number;
  readonly dataBytes: number;
}): Uint8Array<ArrayBuffer> {
  const { code, sampleBytes } = FORMATS[format];
  const isPcm = format === "pcm";
  const headBytes = isPcm ? 44 : 58;
  const blockBytes = channels * sampleBytes; // a sample of every channel
  const head = new DataView(new ArrayBuffer(headBytes));
  writeText(head, 0, "RIFF");
  head.setUint32(4, headBytes + dataBytes - 8, true);
  writeText(head, 8, "WAVEfmt ");
  head.setUint32(16, isPcm ? 16 : 18, true); // bytes of what describes the format
  head.setUint16(20, code, true);
  head.setUint16(22, channels, true);
  head.setUint32(24, SAMPLE_RATE, true);
  head.setUint32(28, SAMPLE_RATE * blockBytes, true);
  head.setUint16(32, blockBytes, true);
  head.setUint16(34, sampleBytes * 8, true);
  if (!isPcm) {
    writeText(head, 38, "fact");
    head.setUint32(42, 4, true);
    head.setUint32(46, dataBytes / blockBytes, true);
  }
  writeText(head, headBytes - 8, "data");
  head.setUint32(headBytes - 4, dataBytes, true);
  return new Uint8Array(head.buffer);
}

/**
 * A whole file from µ-law channels: one is mono, two are left (the caller) and right (the agent).
 * The shorter channel is filled with silence.
 */
export function wav(
  channels: readonly [Uint8Array] | readonly [Uint8Array, Uint8Array],
): Uint8Array<ArrayBuffer> {
  const samples = decodeMulaw(interleaved(channels));
  const dataBytes = samples.length * SAMPLE_BYTES;
  const head = wavHead({ format: "pcm", channels: channels.length, dataBytes });
  const file = new DataView(new ArrayBuffer(head.length + dataBytes));
  const bytes = new Uint8Array(file.buffer);
  bytes.set(head);
  samples.forEach((sample, i) => file.setInt16(head.length + i * SAMPLE_BYTES, sample, true));
  return bytes;
}

function interleaved(channels: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const sampleCount = Math.max(...channels.map((channel) => channel.length));
  const out = new Uint8Array(sampleCount * channels.length).fill(SILENCE);
  for (const [c, channel] of channels.entries()) {
    for (const [i, byte] of channel.entries()) out[i * channels.length + c] = byte;
  }
  return out;
}

function writeText(file: DataView, at: number, ascii: string): void {
  for (let i = 0; i < ascii.length; i++) file.setUint8(at + i, ascii.charCodeAt(i));
}
