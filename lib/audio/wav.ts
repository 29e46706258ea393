/** WAV files of telephone audio. http://soundfile.sapp.org/doc/WaveFormat/ */

import { SAMPLE_RATE, SILENCE } from "./frame.ts";
import { decodeMulaw } from "./mulaw.ts";

const FORMATS = {
  pcm16: { tag: 1, sampleBytes: 2 },
  mulaw: { tag: 7, sampleBytes: 1 },
} as const;

/**
 * A whole WAV file from µ-law channels: one is mono, two are left (the caller) and right (the
 * agent). The shorter channel is filled with silence.
 */
export function wav(
  channels: readonly [Uint8Array] | readonly [Uint8Array, Uint8Array],
  format: keyof typeof FORMATS = "pcm16",
): Uint8Array<ArrayBuffer> {
  const interleaved = interleave(channels);
  const data = format === "mulaw" ? interleaved : littleEndian(decodeMulaw(interleaved));
  const { tag, sampleBytes } = FORMATS[format];
  const blockBytes = sampleBytes * channels.length;

  const fmt = fields(
    [2, tag],
    [2, channels.length],
    [4, SAMPLE_RATE],
    [
      4,
      SAMPLE_RATE * blockBytes,
    ],
    [2, blockBytes],
    [2, sampleBytes * 8],
    [2, 0],
  ); // the last: no extension; formats but PCM need it
  const fact = fields([4, interleaved.length / channels.length]); // samples a channel; as above
  const body = [
    text("WAVE"),
    ...chunk("fmt ", format === "pcm16" ? fmt.subarray(0, 16) : fmt),
    ...(format === "pcm16" ? [] : chunk("fact", fact)),
    ...chunk("data", data),
  ];
  return concat(chunk("RIFF", concat(body)));
}

function interleave(channels: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const samples = Math.max(...channels.map((channel) => channel.length));
  const out = new Uint8Array(samples * channels.length).fill(SILENCE);
  channels.forEach((channel, c) =>
    channel.forEach((byte, i) => {
      out[i * channels.length + c] = byte;
    })
  );
  return out;
}

/** Name, length, data; and a byte of padding where the length is odd. */
function chunk(name: string, data: Uint8Array): Uint8Array[] {
  return [text(name), fields([4, data.length]), data, new Uint8Array(data.length % 2)];
}

/** Little-endian unsigned integers, each given as its bytes and its value. */
function fields(...values: readonly (readonly [bytes: 2 | 4, value: number])[]): Uint8Array {
  return concat(values.map(([bytes, value]) => {
    const view = new DataView(new ArrayBuffer(bytes));
    if (bytes === 2) view.setUint16(0, value, true);
    else view.setUint32(0, value, true);
    return new Uint8Array(view.buffer);
  }));
}

function littleEndian(samples: Int16Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  samples.forEach((sample, i) => view.setInt16(i * 2, sample, true));
  return new Uint8Array(view.buffer);
}

function text(ascii: string): Uint8Array {
  return new TextEncoder().encode(ascii);
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
