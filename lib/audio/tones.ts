/** The sounds of simulated speech: an opening, one symbol a byte, a closing; all within 300–3400 Hz. */

import { FRAME_BYTES, SAMPLE_RATE } from "./frame.ts";
import { encodeMulaw, MULAW_SAMPLES } from "./mulaw.ts";

/**
 * Samples of a byte: three frames, so that a letter a symbol is 16.7 letters a second, and a word that
 * begins with a frame ends with one: a mark behind that frame is then exact.
 */
export const SYMBOL_SAMPLES = 3 * FRAME_BYTES;
/** Samples of silence after a word; with opening and closing they last one symbol: the space. */
export const GAP_SAMPLES = FRAME_BYTES;
const OPENING_SAMPLES = 192;
const CLOSING_SAMPLES = SYMBOL_SAMPLES - OPENING_SAMPLES - GAP_SAMPLES;

/** A known sound, as it is on the line. */
export interface Sound {
  /** µ-law. */
  readonly audio: Uint8Array;
  /** The squared error up to which something heard is still this sound; full scale is 1. */
  readonly tolerance: number;
}

// Ten times what noise at -40 dBFS makes; a sound that misses 30 of its last samples is over it.
const TOLERANCE = 0.03;

/** Sample values of µ-law bytes, where full scale is 1. */
export const LEVELS: Float32Array = Float32Array.from(MULAW_SAMPLES, (sample) => sample / 32_768);

// A word's first and last sample are not zero: silence can be told from them, so that not even one
// sample can be missing unseen. They are low enough not to click.
const EDGE = 0.12;
const LOUD = 0.4;
const EDGE_RAMP_SAMPLES = 32;
const SYMBOL_RAMP_SAMPLES = 16;

/** Largest error of a closing's last samples: half of the edge, six times noise at -40 dBFS. */
export const EDGE_TOLERANCE = EDGE / 2;

const SWEPT_HZ = { low: 400, high: 3200 } as const;

/**
 * A rising sweep, from +EDGE. It is like itself at no other sample, so it is found to the sample.
 */
export const OPENING: Sound = sound(sweep(OPENING_SAMPLES, SWEPT_HZ.low, SWEPT_HZ.high));

/**
 * A steeper one, to -EDGE. It ends in high notes and an opening begins in low ones: what another
 * word's opening has cut off is not taken for whole.
 */
export const CLOSING: Sound = sound(
  sweep(CLOSING_SAMPLES, SWEPT_HZ.high, SWEPT_HZ.low).map((level) => -level).reverse(),
);

// Tones are multiples of 31.25 Hz, so that all have whole periods in the 256 samples that are
// analysed and none is heard in another; 93.75 Hz apart, from 312.5 to 3218.75 Hz.
const ANALYSED_SAMPLES = 256;
const ANALYSED_FROM = (SYMBOL_SAMPLES - ANALYSED_SAMPLES) / 2;
const TONE_COUNT = 32;
const TONE_HZ = (tone: number): number => (10 + 3 * tone) * SAMPLE_RATE / ANALYSED_SAMPLES;

/** Each tone as it is in the analysed part of a symbol: tone by tone, in one array. */
const TONES = Float32Array.from(
  { length: TONE_COUNT * ANALYSED_SAMPLES },
  (_, i) => wave(Math.floor(i / ANALYSED_SAMPLES), ANALYSED_FROM + i % ANALYSED_SAMPLES),
);

const symbols: Sound[] = []; // by byte, made when first needed: text uses few of the 256

/** The sound of a byte: a low tone for its first four bits and a high one for its last. */
export function symbol(byte: number): Sound {
  return symbols[byte] ??= sound(Float32Array.from(
    { length: SYMBOL_SAMPLES },
    (_, i) =>
      (wave(byte >> 4, i) + wave(16 + (byte & 15), i)) * (LOUD / 2) *
      ramp(Math.min(i, SYMBOL_SAMPLES - 1 - i) / SYMBOL_RAMP_SAMPLES),
  ));
}

const heard = new Float32Array(ANALYSED_SAMPLES);

/** The byte whose symbol is most like the `SYMBOL_SAMPLES` that start at `from`. */
export function likeliestByte(audio: Uint8Array, from: number): number {
  for (let i = 0; i < ANALYSED_SAMPLES; i++) {
    heard[i] = LEVELS[audio[from + ANALYSED_FROM + i] ?? 0] ?? 0;
  }
  return loudestTone(0) << 4 | loudestTone(16);
}

/** Which of sixteen tones is the loudest in `heard`. Phases are known, so one product a sample does. */
function loudestTone(first: number): number {
  let loudest = 0;
  let best = -Infinity;
  for (let tone = 0; tone < 16; tone++) {
    const start = (first + tone) * ANALYSED_SAMPLES;
    let level = 0;
    for (let i = 0; i < ANALYSED_SAMPLES; i++) level += (heard[i] ?? 0) * (TONES[start + i] ?? 0);
    if (level > best) {
      best = level;
      loudest = tone;
    }
  }
  return loudest;
}

function wave(tone: number, sample: number): number {
  return Math.sin(2 * Math.PI * TONE_HZ(tone) * sample / SAMPLE_RATE);
}

/** Starts at the top of its wave, at the edge's level, and fades out. */
function sweep(samples: number, fromHz: number, toHz: number): Float32Array {
  return Float32Array.from({ length: samples }, (_, i) => {
    const meanHz = fromHz + (toHz - fromHz) * i / (2 * samples); // up to this sample
    const phase = 2 * Math.PI * meanHz * i / SAMPLE_RATE;
    const inwards = EDGE + (LOUD - EDGE) * ramp(i / EDGE_RAMP_SAMPLES);
    return Math.cos(phase) * inwards * ramp((samples - i) / SYMBOL_RAMP_SAMPLES);
  });
}

/** A raised cosine from 0 at 0 to 1 at 1 and after. */
function ramp(part: number): number {
  return part >= 1 ? 1 : (1 - Math.cos(Math.PI * part)) / 2;
}

function sound(levels: Float32Array): Sound {
  const audio = encodeMulaw(Int16Array.from(levels, (level) => Math.round(level * 32_767)));
  let energy = 0;
  for (const byte of audio) energy += (LEVELS[byte] ?? 0) ** 2;
  return { audio, tolerance: energy * TOLERANCE };
}

/** Each tone, and itself a quarter of a period on, so that its power is found at any phase. */
const SINES = quadrature(Math.sin);
const COSINES = quadrature(Math.cos);

function quadrature(shape: (phase: number) => number): Float32Array {
  return Float32Array.from({ length: TONE_COUNT * ANALYSED_SAMPLES }, (_, i) => {
    const hz = TONE_HZ(Math.floor(i / ANALYSED_SAMPLES));
    return shape(2 * Math.PI * hz * (i % ANALYSED_SAMPLES) / SAMPLE_RATE);
  });
}

/**
 * The byte whose tones have the most power in the symbol that starts at `from`, whatever their level and phase; `share`
 * is theirs of all the power there is.
 */
export function tonesAt(
  levels: Float32Array,
  from: number,
): { readonly byte: number; readonly share: number } {
  const heard = levels.subarray(from + ANALYSED_FROM, from + ANALYSED_FROM + ANALYSED_SAMPLES);
  const low = mostPowerful(heard, 0);
  const high = mostPowerful(heard, 16);
  const all = heard.reduce((sum, level) => sum + level * level, 0);
  const share = all === 0 ? 0 : (low.power + high.power) / all;
  return { byte: low.tone << 4 | high.tone, share };
}

function mostPowerful(
  heard: Float32Array,
  first: number,
): { readonly tone: number; readonly power: number } {
  let best = { tone: 0, power: -1 };
  for (let tone = 0; tone < 16; tone++) {
    const start = (first + tone) * ANALYSED_SAMPLES;
    let sine = 0;
    let cosine = 0;
    for (let i = 0; i < ANALYSED_SAMPLES; i++) {
      sine += (heard[i] ?? 0) * (SINES[start + i] ?? 0);
      cosine += (heard[i] ?? 0) * (COSINES[start + i] ?? 0);
    }
    const power = (sine * sine + cosine * cosine) * 2 / ANALYSED_SAMPLES;
    if (power > best.power) best = { tone, power };
  }
  return best;
}
