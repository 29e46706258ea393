/** Between the telephone's 8 kHz and the browser's 16 kHz: a half-band filter each way, one instance a stream. */

import { decodeMulaw, encodeMulaw } from "./mulaw.ts";

/** Samples a second of what a browser sends and takes: 16-bit PCM, little-endian, mono. */
export const WIDE_RATE = 16_000;
/** Bytes of 20 ms of it. */
export const WIDE_FRAME_BYTES = 640;

/**
 * Taps on each side of the centre that are not zero. With a Kaiser window of beta 6.5 they pass 0 to 3.4 kHz
 * within 0.1 dB and keep what is above 4.6 kHz 60 dB down (tests/lib/audio/resample_test.ts).
 */
const SIDE_TAPS = 12;
const KAISER_BETA = 6.5;

/** Taps at odd distances 1, 3, 5 … from the centre; all at even distances are zero but the centre's, 1/2. */
const TAPS = Float64Array.from({ length: SIDE_TAPS }, (_, i) => {
  const distance = 2 * i + 1;
  const ideal = Math.sin(Math.PI * distance / 2) / (Math.PI * distance);
  return ideal * kaiser(distance / (2 * SIDE_TAPS));
});
/** The taps of one branch must sum to 1/2, so that a constant stays itself. */
const SCALE = 0.25 / TAPS.reduce((sum, tap) => sum + tap, 0);
for (let i = 0; i < SIDE_TAPS; i++) TAPS[i] = (TAPS[i] ?? 0) * SCALE;

function kaiser(at: number): number {
  return bessel(KAISER_BETA * Math.sqrt(Math.max(0, 1 - at * at))) / bessel(KAISER_BETA);
}

/** The modified Bessel function of the first kind, order 0, by its series. */
function bessel(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; k < 30; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Turns 16 kHz PCM into µ-law at 8 kHz: half as many samples, an odd one waits for the next call. */
export interface Narrower {
  narrow(pcm: Uint8Array): Uint8Array<ArrayBuffer>;
}

/** Turns µ-law at 8 kHz into 16 kHz PCM: four bytes for one. */
export interface Widener {
  widen(mulaw: Uint8Array): Uint8Array<ArrayBuffer>;
}

const HISTORY = 4 * SIDE_TAPS - 2; // samples behind the newest that a filter looks at

export function newNarrower(): Narrower {
  let past = new Int16Array(HISTORY);

  return {
    narrow(pcm) {
      const fresh = samplesOf(pcm);
      const line = new Int16Array(past.length + fresh.length);
      line.set(past);
      line.set(fresh, past.length);
      const count = Math.floor((line.length - HISTORY) / 2);
      const out = new Int16Array(count);
      for (let i = 0; i < count; i++) {
        const centre = 2 * i + HISTORY / 2;
        let sum = (line[centre] ?? 0) / 2;
        for (let k = 0; k < SIDE_TAPS; k++) {
          const distance = 2 * k + 1;
          sum += (TAPS[k] ?? 0) * ((line[centre - distance] ?? 0) + (line[centre + distance] ?? 0));
        }
        out[i] = clipped(sum);
      }
      past = line.slice(2 * count);
      return encodeMulaw(out);
    },
  };
}

export function newWidener(): Widener {
  let past = new Int16Array(2 * SIDE_TAPS - 1);

  return {
    widen(mulaw) {
      const fresh = decodeMulaw(mulaw);
      const line = new Int16Array(past.length + fresh.length);
      line.set(past);
      line.set(fresh, past.length);
      const out = new DataView(new ArrayBuffer(4 * fresh.length));
      for (let i = 0; i < fresh.length; i++) {
        const centre = i + SIDE_TAPS - 1; // a sample of the input, then the one halfway to the next
        let sum = 0;
        for (let k = 0; k < SIDE_TAPS; k++) {
          sum += (TAPS[k] ?? 0) * ((line[centre - k] ?? 0) + (line[centre + 1 + k] ?? 0));
        }
        out.setInt16(4 * i, line[centre] ?? 0, true);
        out.setInt16(4 * i + 2, clipped(2 * sum), true);
      }
      past = line.slice(fresh.length);
      return new Uint8Array(out.buffer);
    },
  };
}

function clipped(sample: number): number {
  return Math.max(-0x8000, Math.min(0x7fff, Math.round(sample)));
}

/** Little-endian, whatever the alignment and the machine; half a sample at the end is dropped. */
function samplesOf(pcm: Uint8Array): Int16Array {
  const view = new DataView(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  return Int16Array.from({ length: pcm.length >> 1 }, (_, i) => view.getInt16(2 * i, true));
}
