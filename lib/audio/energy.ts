/** How loud telephone audio is, so that speech can be told from a quiet line. */

import { MULAW_SAMPLES } from "./mulaw.ts";

// Speech is above this level (a quiet talker is near -35), the noise of a telephone line below.
const AUDIBLE_DBFS = -45;

/** Power of each µ-law byte, where full scale is 1. */
const POWERS = Float64Array.from(MULAW_SAMPLES, (sample) => (sample / 32_768) ** 2);

/** The mean level of µ-law audio in decibels below full scale; -Infinity for silence and for no audio. */
export function levelDbfs(audio: Uint8Array): number {
  let power = 0;
  for (let i = 0; i < audio.length; i++) power += POWERS[audio[i] ?? 0] ?? 0;
  return power === 0 ? -Infinity : 10 * Math.log10(power / audio.length);
}

/** Would a listener hear this frame? */
export function isAudible(audio: Uint8Array): boolean {
  return levelDbfs(audio) > AUDIBLE_DBFS;
}
