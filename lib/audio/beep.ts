/** Hears the beep of a voicemail in µ-law: one steady, pure tone. */

import { BYTES_PER_MS, SAMPLE_RATE } from "./frame.ts";
import { MULAW_SAMPLES } from "./mulaw.ts";

const BLOCK_SAMPLES = 20 * BYTES_PER_MS;
/** Shorter tones are sounds of speech and of the line. */
export const BEEP_MS = 160;
const BLOCKS_MIN = BEEP_MS * BYTES_PER_MS / BLOCK_SAMPLES;
/** Beeps are between them; a hum is lower. */
const LOW_HZ = 350;
const HIGH_HZ = 2_500;
/** Mean power below which nothing is sought: -40 dBFS. */
const POWER_MIN = (32_768 * 10 ** (-40 / 20)) ** 2;
/** Of a block's power, what one sinusoid may leave unexplained: µ-law itself leaves a thousandth. */
const RESIDUE_MAX = 0.02;
/** How far a tone may wander from block to block. */
const WANDER_MAX = 0.04;

/** It is changed in place, and takes audio of any chunking. */
export class BeepEar {
  readonly #block = new Float64Array(BLOCK_SAMPLES);
  #filled = 0;
  #hz = 0;
  #lasted = 0;

  /** True once for a beep, as soon as it has lasted. */
  take(audio: Uint8Array): boolean {
    let hasBeeped = false;
    for (const byte of audio) {
      this.#block[this.#filled++] = MULAW_SAMPLES[byte] ?? 0;
      if (this.#filled < BLOCK_SAMPLES) continue;
      this.#filled = 0;
      const hz = toneOf(this.#block);
      const goesOn = hz !== null && Math.abs(hz - this.#hz) <= WANDER_MAX * hz;
      this.#lasted = hz === null ? 0 : goesOn ? this.#lasted + 1 : 1;
      this.#hz = hz ?? 0;
      if (this.#lasted === BLOCKS_MIN) hasBeeped = true;
    }
    return hasBeeped;
  }
}

/** Of a sinusoid x[n-1] + x[n+1] = 2 cos(w) x[n]: the w that fits best, if it does fit. */
function toneOf(x: Float64Array): number | null {
  let own = 0;
  let cross = 0;
  let around = 0;
  for (let n = 1; n < x.length - 1; n++) {
    const at = x[n] ?? 0;
    const both = (x[n - 1] ?? 0) + (x[n + 1] ?? 0);
    own += at * at;
    cross += at * both;
    around += both * both;
  }
  if (own < POWER_MIN * x.length) return null;
  const fit = cross / own;
  const residue = (around - fit * cross) / own;
  if (residue > RESIDUE_MAX || Math.abs(fit) > 2) return null;
  const hz = Math.acos(fit / 2) * SAMPLE_RATE / (2 * Math.PI);
  return hz >= LOW_HZ && hz <= HIGH_HZ ? hz : null;
}
