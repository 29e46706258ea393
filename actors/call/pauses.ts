/** How long this caller pauses within a turn, learnt as they speak: what `dynamic` endpointing waits for. */

import type { TurnSettings } from "@/lib/workflow/graph.ts";

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
/** Of a dynamic or eager agent the recogniser calls an utterance over after so long; the rest of the silence is ours to wait. */
const EARLY_ENDPOINT_MS = 200;

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

/** Silence after which the recogniser is to call an utterance over. */
export function endpointingMsOf({ endpointing, silenceMs, isEager }: TurnSettings): number {
  const isEarly = endpointing === "dynamic" || (endpointing === "fixed" && isEager);
  return isEarly ? Math.min(EARLY_ENDPOINT_MS, silenceMs) : silenceMs;
}

/** What is still to be waited for once the recogniser calls an utterance over. */
export function waitFor(pauses: Pauses, turns: TurnSettings): number {
  switch (turns.endpointing) {
    case "provider":
      return 0;
    case "fixed":
      return turns.silenceMs - endpointingMsOf(turns);
    case "dynamic":
      return silenceFor(pauses, turns) - endpointingMsOf(turns);
  }
}
