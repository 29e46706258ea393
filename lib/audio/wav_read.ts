/** Reads a WAV file as telephone audio: what people record and upload. http://soundfile.sapp.org/doc/WaveFormat/ */

import { newDecimator } from "./decimate.ts";
import { SAMPLE_RATE } from "./frame.ts";
import { decodeMulaw, encodeMulaw } from "./mulaw.ts";

/** Or why it cannot be read, in a sentence for who sent it. */
export type WavAudio =
  | { readonly audio: Uint8Array<ArrayBuffer>; readonly fault: null }
  | { readonly audio: null; readonly fault: string };

const CODES = { pcm: 1, mulaw: 7, extensible: 0xfffe } as const;
/** Whole multiples of the telephone's rate. */
const FACTORS: readonly number[] = [1, 2, 3, 4, 6];
const CHANNELS_MAX = 2;
const FORMAT_BYTES = 16;
/** Of an extensible format: where the code of what it is stands. */
const SUBFORMAT_AT = 24;

interface Format {
  readonly code: number;
  readonly channels: number;
  readonly rate: number;
  readonly bits: number;
}

/** As µ-law, mono; two channels are mixed. */
export function readWav(bytes: Uint8Array): WavAudio {
  const file = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (textAt(file, 0) !== "RIFF" || textAt(file, 8) !== "WAVE") return refuse("Must be a WAV file");
  let format: Format | null = null;
  for (let at = 12; at + 8 <= file.byteLength;) {
    const id = textAt(file, at);
    const from = at + 8;
    const size = Math.min(file.getUint32(at + 4, true), file.byteLength - from); // a stream says more
    if (id === "fmt " && size >= FORMAT_BYTES) format = formatAt(file, from, size);
    if (id === "data") {
      if (format === null) return refuse("Must say its format before its sound");
      return toTelephone(bytes.subarray(from, from + size), format);
    }
    at = from + size + size % 2;
  }
  return refuse("Must hold sound");
}

function toTelephone(data: Uint8Array, { code, channels, rate, bits }: Format): WavAudio {
  const isMulaw = code === CODES.mulaw && bits === 8;
  if (!isMulaw && !(code === CODES.pcm && bits === 16)) {
    return refuse("Must be 16-bit PCM or 8-bit µ-law");
  }
  if (channels < 1 || channels > CHANNELS_MAX) return refuse("Must have one channel or two");
  const factor = rate / SAMPLE_RATE;
  if (!FACTORS.includes(factor)) {
    const rates = FACTORS.map((times) => times * SAMPLE_RATE / 1000).join(", ");
    return refuse(`Must have one of these rates, in kHz: ${rates}`);
  }
  if (isMulaw && channels === 1 && factor === 1) return { audio: data.slice(), fault: null };
  const mono = mixed(isMulaw ? decodeMulaw(data) : samplesOf(data), channels);
  if (factor === 1) return { audio: encodeMulaw(mono), fault: null };
  const decimator = newDecimator(factor);
  const parts = [decimator.push(mono), decimator.end()];
  return { audio: encodeMulaw(Int16Array.from(parts.flatMap((part) => [...part]))), fault: null };
}

function formatAt(file: DataView, at: number, size: number): Format {
  const code = file.getUint16(at, true);
  const isExtensible = code === CODES.extensible && size >= SUBFORMAT_AT + 2;
  return {
    code: isExtensible ? file.getUint16(at + SUBFORMAT_AT, true) : code,
    channels: file.getUint16(at + 2, true),
    rate: file.getUint32(at + 4, true),
    bits: file.getUint16(at + 14, true),
  };
}

function samplesOf(data: Uint8Array): Int16Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Int16Array.from({ length: data.length >> 1 }, (_, i) => view.getInt16(2 * i, true));
}

function mixed(samples: Int16Array, channels: number): Int16Array<ArrayBuffer> {
  if (channels === 1) return Int16Array.from(samples);
  return Int16Array.from(
    { length: samples.length >> 1 },
    (_, i) => Math.round(((samples[2 * i] ?? 0) + (samples[2 * i + 1] ?? 0)) / 2),
  );
}

function textAt(file: DataView, at: number): string {
  if (at + 4 > file.byteLength) return "";
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => file.getUint8(at + i)));
}

function refuse(fault: string): WavAudio {
  return { audio: null, fault };
}
