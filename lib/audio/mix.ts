/** A quiet loop under speech: µ-law added to µ-law, saturating, without allocation. */

import { encodeMulaw, MULAW_SAMPLES } from "./mulaw.ts";

const CLIP = 0x7fff;
/** The µ-law byte of each sample, from -32768 on. */
const BYTES = encodeMulaw(Int16Array.from({ length: 65_536 }, (_, at) => at - 32_768));

export interface Loop {
  /** Adds the next part of the loop to `audio`, in its place. */
  addTo(audio: Uint8Array): void;
}

/** `gainDb` is of the loop: speech keeps its level. The loop has at least one byte. */
export function newLoop(loop: Uint8Array, gainDb: number): Loop {
  if (loop.length === 0) throw new Error("A loop of no audio");
  const gain = 10 ** (gainDb / 20);
  const samples = Int16Array.from(loop, (byte) => {
    const sample = Math.round((MULAW_SAMPLES[byte] ?? 0) * gain);
    return Math.max(-CLIP, Math.min(CLIP, sample));
  });
  let next = 0;

  return {
    addTo(audio) {
      for (let i = 0; i < audio.length; i++) {
        const sum = (MULAW_SAMPLES[audio[i] ?? 0] ?? 0) + (samples[next] ?? 0);
        audio[i] = BYTES[Math.max(-CLIP, Math.min(CLIP, sum)) + 32_768] ?? 0;
        if (++next === samples.length) next = 0;
      }
    },
  };
}
