/** WAV files of telephone audio: 16-bit PCM, which everything plays. http://soundfile.sapp.org/doc/WaveFormat/ */

import { SAMPLE_RATE, SILENCE } from "./frame.ts";
import { decodeMulaw } from "./mulaw.ts";

const HEAD_BYTES = 44;
const SAMPLE_BYTES = 2;
const PCM = 1;

/**
 * A whole file from µ-law channels: one is mono, two are left (the caller) and right (the agent).
 * The shorter channel is filled with silence.
 */
export function wav(
  channels: readonly [Uint8Array] | readonly [Uint8Array, Uint8Array],
): Uint8Array<ArrayBuffer> {
  const samples = decodeMulaw(interleaved(channels));
  const file = new DataView(new ArrayBuffer(HEAD_BYTES + samples.length * SAMPLE_BYTES));
  const blockBytes = channels.length * SAMPLE_BYTES; // a sample of every channel

  writeText(file, 0, "RIFF");
  file.setUint32(4, file.byteLength - 8, true);
  writeText(file, 8, "WAVEfmt ");
  file.setUint32(16, 16, true); // bytes of what describes the format
  file.setUint16(20, PCM, true);
  file.setUint16(22, channels.length, true);
  file.setUint32(24, SAMPLE_RATE, true);
  file.setUint32(28, SAMPLE_RATE * blockBytes, true);
  file.setUint16(32, blockBytes, true);
  file.setUint16(34, SAMPLE_BYTES * 8, true);
  writeText(file, 36, "data");
  file.setUint32(40, samples.length * SAMPLE_BYTES, true);
  samples.forEach((sample, i) => file.setInt16(HEAD_BYTES + i * SAMPLE_BYTES, sample, true));
  return new Uint8Array(file.buffer);
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
