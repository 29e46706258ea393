/** A quiet loop under speech: µ-law added to µ-law, saturating, by a table and without allocation. */

import { encodeMulaw, MULAW_SAMPLES } from "./mulaw.ts";

const CLIP = 0x7fff;
/** The µ-law byte of each sample, from -32768 on. */
const BYTES = encodeMulaw(Int16Array.from({ length: 65_536 }, (_, at) => at - 32_768));
/** The byte of the sum of two bytes: of the first in the upper half of the index. */
const SUMS = Uint8Array.from(
  { length: 65_536 },
  (_, at) => byteOf((MULAW_SAMPLES[at >> 8] ?? 0) + (MULAW_SAMPLES[at & 0xff] ?? 0)),
);

export interface Loop {
  /** Adds the next part of the loop to `audio`, in its place; `gain` is of the loop, 1 when absent. */
  addTo(audio: Uint8Array, gain?: number): void;
}

/** The same sound, louder or quieter. */
export function atLoudness(sound: Uint8Array, gainDb: number): Uint8Array<ArrayBuffer> {
  const gain = 10 ** (gainDb / 20);
  return Uint8Array.from(sound, (byte) => byteOf(Math.round((MULAW_SAMPLES[byte] ?? 0) * gain)));
}

/** Speech keeps its level. The loop has at least one byte, and is shared: it is not changed. */
export function newLoop(loop: Uint8Array): Loop {
  const { length } = loop;
  if (length === 0) throw new Error("A loop of no audio");
  let next = 0;

  return {
    addTo(audio, gain = 1) {
      for (let i = 0; i < audio.length; i++) {
        const own = loop[next] ?? 0;
        const byte = audio[i] ?? 0;
        audio[i] = gain === 1
          ? SUMS[byte << 8 | own] ?? 0
          : byteOf((MULAW_SAMPLES[byte] ?? 0) + Math.round((MULAW_SAMPLES[own] ?? 0) * gain));
        if (++next === length) next = 0;
      }
    },
  };
}

function byteOf(sample: number): number {
  return BYTES[Math.max(-CLIP, Math.min(CLIP, sample)) + 32_768] ?? 0;
}
