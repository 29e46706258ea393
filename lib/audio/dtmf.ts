/** The tones of a telephone's keys (ITU-T Q.23): made as µ-law, and heard in it. */

import { BYTES_PER_MS, SAMPLE_RATE, SILENCE } from "./frame.ts";
import { encodeMulaw, MULAW_SAMPLES } from "./mulaw.ts";

const ROWS_HZ = [697, 770, 852, 941];
const COLUMNS_HZ = [1209, 1336, 1477, 1633];
const KEYS = ["123A", "456B", "789C", "*0#D"];

/** Exchanges hear a tone of 40 ms (Q.24, table A.1); twice that comes through a codec and a lost packet. */
const TONE_MS = 100;
const GAP_MS = 100;
/** What a `w` waits, as dialling strings write it. */
const WAIT_MS = 500;
/** -9 dBFS each: together they do not clip. */
const AMPLITUDE = 32_768 * 10 ** (-9 / 20);
/** A click at an edge is a sound of all frequencies. */
const RAMP_SAMPLES = 2 * BYTES_PER_MS;

/** At 102 samples each frequency of Q.23 is told from its neighbour; 205 is usual, and too long for 40 ms. */
const BLOCK_SAMPLES = 102;
/** Q.24: a tone of 40 ms is heard, one under 23 ms is not; two whole blocks lie in 40 ms at any phase. */
const BLOCKS_MIN = 2;
/** Mean power of a sample below which nothing is sought: -36 dBFS, past the loss of any line. */
const POWER_MIN = (32_768 * 10 ** (-36 / 20)) ** 2;
/** How much of a block's power its two tones have: of speech less, and of a 20 ms tone across two blocks 0.78. */
const SHARE_MIN = 0.82;
/** Twist (Q.24): how much stronger one of both may be, as a ratio of power; 8 dB. */
const TWIST_MAX = 10 ** 0.8;

const TONES = new Map(
  KEYS.flatMap((row, r) =>
    [...row].map((key, c) => [key, tone(ROWS_HZ[r] ?? 0, COLUMNS_HZ[c] ?? 0)])
  ),
);

/** A key of a telephone: 0 to 9, A to D, `*`, `#`; and `w`, which waits half a second. Any other makes no sound. */
export function dialTones(keys: string): Uint8Array<ArrayBuffer> {
  const parts = Array.from(
    keys,
    (key) =>
      key.toLowerCase() === "w"
        ? new Uint8Array(WAIT_MS * BYTES_PER_MS).fill(SILENCE)
        : TONES.get(key.toUpperCase()) ?? new Uint8Array(0),
  );
  const audio = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    audio.set(part, at);
    at += part.length;
  }
  return audio;
}

function tone(rowHz: number, columnHz: number): Uint8Array {
  const samples = new Int16Array(TONE_MS * BYTES_PER_MS);
  for (let i = 0; i < samples.length; i++) {
    const edge = Math.min(1, (i + 1) / RAMP_SAMPLES, (samples.length - i) / RAMP_SAMPLES);
    const at = 2 * Math.PI * i / SAMPLE_RATE;
    samples[i] = edge * AMPLITUDE * (Math.sin(rowHz * at) + Math.sin(columnHz * at));
  }
  const audio = new Uint8Array(samples.length + GAP_MS * BYTES_PER_MS).fill(SILENCE);
  audio.set(encodeMulaw(samples));
  return audio;
}

/** Hears keys in µ-law of any chunking, each once, when its tone has lasted. It is changed in place. */
export class KeyEar {
  readonly #block = new Float64Array(BLOCK_SAMPLES);
  #filled = 0;
  #last: string | null = null;
  #lasted = 0;
  #quiet = 0;
  #told = false;

  /** The keys whose tones these bytes complete. */
  take(audio: Uint8Array): string {
    let keys = "";
    for (let i = 0; i < audio.length; i++) {
      this.#block[this.#filled++] = MULAW_SAMPLES[audio[i] ?? 0] ?? 0;
      if (this.#filled < BLOCK_SAMPLES) continue;
      this.#filled = 0;
      keys += this.#hear(keyOf(this.#block)) ?? "";
    }
    return keys;
  }

  /** One block without it is a dropped packet inside of a tone; two are its end. */
  #hear(key: string | null): string | null {
    if (key === null) {
      if (++this.#quiet >= 2) this.#last = null;
      return null;
    }
    this.#quiet = 0;
    if (key !== this.#last) {
      this.#last = key;
      this.#lasted = 0;
      this.#told = false;
    }
    this.#lasted++;
    if (this.#told || this.#lasted < BLOCKS_MIN) return null;
    this.#told = true;
    return key;
  }
}

function keyOf(block: Float64Array): string | null {
  let power = 0;
  for (const sample of block) power += sample * sample;
  if (power < POWER_MIN * BLOCK_SAMPLES) return null;
  const row = strongest(block, ROWS_HZ);
  const column = strongest(block, COLUMNS_HZ);
  // A tone's Goertzel power is its energy times half the block's length.
  if ((row.power + column.power) / (BLOCK_SAMPLES / 2) < SHARE_MIN * power) return null;
  const twist = row.power / column.power;
  if (twist > TWIST_MAX || twist < 1 / TWIST_MAX) return null;
  return KEYS[row.index]?.charAt(column.index) ?? null;
}

function strongest(block: Float64Array, frequencies: readonly number[]) {
  let found = { index: 0, power: 0 };
  frequencies.forEach((hz, index) => {
    const power = goertzel(block, hz);
    if (power > found.power) found = { index, power };
  });
  return found;
}

/** Power of one frequency. https://www.ti.com/lit/an/spra168/spra168.pdf */
function goertzel(block: Float64Array, hz: number): number {
  const turn = 2 * Math.cos(2 * Math.PI * hz / SAMPLE_RATE);
  let one = 0;
  let two = 0;
  for (const sample of block) {
    const next = sample + turn * one - two;
    two = one;
    one = next;
  }
  return one * one + two * two - turn * one * two;
}
