/**
 * Hears simulated speech that came through a microphone: at any level, and at times that lie between samples.
 *
 * The decoder of a line (`modem.ts`) compares samples, and is exact; here sounds are told by how much they are like the
 * ones that are known, whatever resamplers have made of them.
 */

import { decodeMulaw } from "./mulaw.ts";
import type { Decoder, Heard } from "./modem.ts";
import { CLOSING, LEVELS, OPENING, type Sound, SYMBOL_SAMPLES, tonesAt } from "./tones.ts";

/** Steps between two samples at which a word may begin. */
const PHASES = 8;
/** How much of what is heard must be the opening: at the nearest sample, then at the nearest step. */
const LIKE_AT_SAMPLE = 0.6;
const LIKE_OPENING = 0.88;
const LIKE_CLOSING = 0.75;
/** How much of a symbol's power its two tones must have. */
const TONES_SHARE = 0.6;
/** Below this mean square (-50 dBFS) nothing is sought. */
const QUIET = 1e-5;
const FULL_SCALE = 32_768;
/** Half the length of the interpolation between samples. */
const REACH = 12;

/** A known sound, as it is when it begins a part of a sample later; its power is 1. */
const OPENINGS = Array.from({ length: PHASES }, (_, step) => delayed(OPENING, stepAt(step)));
const CLOSINGS = Array.from({ length: PHASES }, (_, step) => delayed(CLOSING, stepAt(step)));
const LEVEL_OPENING = delayed(OPENING, 0);

function stepAt(step: number): number {
  return step / PHASES - 0.5;
}

interface Word {
  readonly startSample: number;
  readonly step: number;
  readonly bytes: number[];
}

export function newEar(): Decoder {
  let held = new Float32Array(0);
  let at = 0; // the first that has not been understood
  let forgotten = 0; // samples before those held
  let word: Word | null = null;

  function seek(): Heard | null {
    // One more on each side, where the best step may be.
    for (; at + OPENING.audio.length + 2 <= held.length; at++) {
      if (likeness(held, at, LEVEL_OPENING) < LIKE_AT_SAMPLE) continue;
      const found = nearest(at);
      if (found.likeness < LIKE_OPENING) continue;
      word = { startSample: forgotten + found.at, step: found.step, bytes: [] };
      at = found.at + OPENING.audio.length;
      return { type: "opened", startSample: word.startSample };
    }
    return null;
  }

  /** Of this sample and the next, and the steps around them, the one at which an opening fits best. */
  function nearest(from: number): { at: number; step: number; likeness: number } {
    let best = { at: from, step: 0, likeness: 0 };
    for (const sample of [from, from + 1]) {
      OPENINGS.forEach((opening, step) => {
        const like = likeness(held, sample, opening);
        if (like > best.likeness) best = { at: sample, step, likeness: like };
      });
    }
    return best;
  }

  function read(begun: Word): Heard | null {
    const closing = CLOSINGS[begun.step] ?? LEVEL_OPENING;
    while (at + closing.length <= held.length) {
      if (likeness(held, at, closing) >= LIKE_CLOSING) {
        at += closing.length;
        return finish(begun, "word");
      }
      if (at + SYMBOL_SAMPLES > held.length) return null;
      const { byte, share } = tonesAt(held, at);
      if (share < TONES_SHARE) return finish(begun, "cut");
      begun.bytes.push(byte);
      at += SYMBOL_SAMPLES;
    }
    return null;
  }

  function finish({ startSample, bytes }: Word, type: "word" | "cut"): Heard {
    word = null;
    const text = new TextDecoder().decode(Uint8Array.from(bytes));
    return { type, text, startSample, endSample: forgotten + at };
  }

  return {
    push(audio) {
      const kept = held.subarray(at);
      forgotten += at;
      held = new Float32Array(kept.length + audio.length);
      held.set(kept);
      held.set(Float32Array.from(decodeMulaw(audio), (sample) => sample / FULL_SCALE), kept.length);
      at = 0;
      const found: Heard[] = [];
      for (;;) {
        const next = word === null ? seek() : read(word);
        if (next === null) return found;
        found.push(next);
      }
    },
    end: () => word === null ? [] : [finish(word, "cut")],
    quietUntil: () => word === null ? forgotten + at : null,
  };
}

/** How much of what is held from `from` on is `sound`: 1 is all of it, at whatever level. */
function likeness(held: Float32Array, from: number, sound: Float32Array): number {
  let power = 0;
  let product = 0;
  for (let i = 0; i < sound.length; i++) {
    const sample = held[from + i] ?? 0;
    power += sample * sample;
    product += sample * (sound[i] ?? 0);
  }
  return power < QUIET * sound.length ? 0 : product / Math.sqrt(power);
}

/** A sound that begins `by` of a sample later, by a windowed sinc. */
function delayed({ audio }: Sound, by: number): Float32Array {
  const out = new Float32Array(audio.length);
  for (let i = 0; i < out.length; i++) {
    for (let k = i - REACH; k <= i + REACH; k++) {
      const distance = i - by - k;
      const sinc = distance === 0 ? 1 : Math.sin(Math.PI * distance) / (Math.PI * distance);
      const window = Math.cos(Math.PI * distance / (2 * REACH + 2)) ** 2;
      out[i] = (out[i] ?? 0) + (LEVELS[audio[k] ?? 0xff] ?? 0) * sinc * window;
    }
  }
  const power = Math.sqrt(out.reduce((sum, sample) => sum + sample * sample, 0));
  return out.map((sample) => sample / power);
}
