/** How long this caller pauses within a turn, learnt as they speak: what `dynamic` endpointing waits for. */

/** What is known of a caller's pauses, in milliseconds of silence. */
export interface Pauses {
  /** A moving average of those within a turn; null before the first. */
  readonly withinMs: number | null;
}

export const noPauses: Pauses = { withinMs: null };

/** Weight of a new pause: three or four of a kind change what is waited for. */
const WEIGHT = 0.3;
/** Waited beyond the average: pauses vary by about so much. */
const MARGIN = 1.3;
/** A turn that ended as it should have takes this part of the wait off again. */
const EASE = 0.05;

/** The caller went on after a silence of `ms`. */
export function learnPause({ withinMs }: Pauses, ms: number): Pauses {
  return { withinMs: withinMs === null ? ms : withinMs + WEIGHT * (ms - withinMs) };
}

/** A turn was over when it was taken as over. */
export function easePauses({ withinMs }: Pauses): Pauses {
  return { withinMs: withinMs === null ? null : withinMs * (1 - EASE) };
}

/** The silence that ends this caller's turn. */
export function silenceFor(
  { withinMs }: Pauses,
  { silenceMs, silenceMaxMs }: { readonly silenceMs: number; readonly silenceMaxMs: number },
): number {
  if (withinMs === null) return silenceMs;
  return Math.min(Math.max(withinMs * MARGIN, silenceMs), silenceMaxMs);
}
