/** A recording as a WAV file, any part of it, made of its segments as it is sent. */

import { SILENCE } from "@/lib/audio/frame.ts";
import { MULAW_SAMPLES } from "@/lib/audio/mulaw.ts";
import { wavHead } from "@/lib/audio/wav.ts";
import { type RecordingFormat, SEGMENT_BYTES } from "./segments.ts";

/** Both ends included. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

export interface WavFile {
  readonly head: Uint8Array<ArrayBuffer>;
  readonly totalBytes: number;
  /** What is in `range`, a segment at a time. `segment` gives null for one that is lost: it is silent. */
  read(
    range: ByteRange,
    segment: (index: number) => Promise<Uint8Array | null>,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>>;
}

/** Of a recording of so many bytes as stored. */
export function wavFile(format: RecordingFormat, storedBytes: number): WavFile {
  const widening = format === "pcm" ? 2 : 1; // bytes of a sample, where one is stored
  const head = wavHead({ format, channels: 2, dataBytes: storedBytes * widening });

  return {
    head,
    totalBytes: head.length + storedBytes * widening,
    async *read({ from, to }, segment) {
      if (from < head.length) yield head.slice(from, to + 1);
      let at = Math.max(0, from - head.length);
      const end = to + 1 - head.length;
      while (at < end) {
        const index = Math.floor(at / widening / SEGMENT_BYTES);
        const start = index * SEGMENT_BYTES * widening;
        const stored = wholeSegment(await segment(index), storedBytes - index * SEGMENT_BYTES);
        const samples = format === "pcm" ? toPcm(stored) : stored;
        yield samples.slice(at - start, Math.min(end - start, samples.length));
        at = start + samples.length;
      }
    },
  };
}

/** As long as it has to be, whatever was found. */
function wholeSegment(found: Uint8Array | null, rest: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(Math.min(SEGMENT_BYTES, rest)).fill(SILENCE);
  whole.set((found ?? new Uint8Array()).subarray(0, whole.length));
  return whole;
}

/** 16 bits, little-endian. */
function toPcm(mulaw: Uint8Array): Uint8Array<ArrayBuffer> {
  const pcm = new Uint8Array(mulaw.length * 2);
  for (let i = 0; i < mulaw.length; i++) {
    const sample = MULAW_SAMPLES[mulaw[i] ?? SILENCE] ?? 0;
    pcm[2 * i] = sample & 0xff;
    pcm[2 * i + 1] = (sample >> 8) & 0xff;
  }
  return pcm;
}

/**
 * What a `Range` header asks of so many bytes (RFC 9110 §14.2). Null: it is to be ignored, as one of another
 * unit, of several parts, or that is none.
 */
export function rangeOf(header: string, totalBytes: number): ByteRange | "unsatisfiable" | null {
  const found = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(header);
  if (found === null) return null;
  const [, first = "", last = ""] = found;
  if (first === "" && last === "") return null;
  if (first === "") {
    const count = Math.min(Number(last), totalBytes);
    return count === 0 ? "unsatisfiable" : { from: totalBytes - count, to: totalBytes - 1 };
  }
  const from = Number(first);
  if (last !== "" && Number(last) < from) return null;
  if (from >= totalBytes) return "unsatisfiable";
  return { from, to: last === "" ? totalBytes - 1 : Math.min(Number(last), totalBytes - 1) };
}
