/** Wideband speech to telephone rate: a low-pass, then every n-th sample. */

import { SAMPLE_RATE } from "./frame.ts";

/** Telephone speech ends at 3.4 kHz; what is above half the telephone's rate would fold back into it. */
const PASS_HZ = 3_400;
const STOP_HZ = 4_400;
/** Below the noise of µ-law, which is 38 dB down. */
const STOP_DB = 60;

export interface Decimator {
  /** The telephone samples that these complete. */
  push(samples: Int16Array): Int16Array<ArrayBuffer>;
  /** Those that waited for samples after the last. */
  end(): Int16Array<ArrayBuffer>;
}

/**
 * From `factor` times the telephone rate: 3 for 24 kHz, 2 for 16 kHz. Sample k of what comes out is at the
 * time of sample k·factor of what went in: the filter's own delay is taken back.
 */
export function newDecimator(factor: number): Decimator {
  const taps = lowPass(factor * SAMPLE_RATE);
  const half = (taps.length - 1) / 2;
  let held = new Float32Array(half); // the silence before the first sample
  let at = half; // of the next output's own sample, in `held`

  function push(samples: Int16Array): Int16Array<ArrayBuffer> {
    const all = new Float32Array(held.length + samples.length);
    all.set(held);
    all.set(samples, held.length);
    const count = Math.max(0, Math.ceil((all.length - half - at) / factor));
    const out = new Int16Array(count);
    for (let k = 0; k < count; k++, at += factor) {
      let sum = 0;
      for (let t = 0; t < taps.length; t++) sum += (taps[t] ?? 0) * (all[at - half + t] ?? 0);
      out[k] = Math.max(-0x8000, Math.min(0x7fff, Math.round(sum)));
    }
    const spent = at - half;
    held = all.slice(spent);
    at = half;
    return out;
  }

  return { push, end: () => push(new Int16Array(half)) };
}

/** A sinc under a Kaiser window, of odd length, with gain 1 at 0 Hz. https://ccrma.stanford.edu/~jos/sasp/Kaiser_Window.html */
function lowPass(rate: number): Float32Array {
  const cut = (PASS_HZ + STOP_HZ) / rate; // of half the rate
  const width = 2 * Math.PI * (STOP_HZ - PASS_HZ) / rate;
  const half = Math.ceil((STOP_DB - 8) / (2.285 * width) / 2);
  const beta = 0.1102 * (STOP_DB - 8.7);
  const taps = Float32Array.from({ length: 2 * half + 1 }, (_, i) => {
    const x = i - half;
    const sinc = x === 0 ? cut : Math.sin(Math.PI * cut * x) / (Math.PI * x);
    return sinc * bessel(beta * Math.sqrt(1 - (x / half) ** 2)) / bessel(beta);
  });
  const gain = taps.reduce((sum, tap) => sum + tap, 0);
  return taps.map((tap) => tap / gain);
}

/** Modified Bessel function of the first kind, order zero, by its series. */
function bessel(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-9; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
