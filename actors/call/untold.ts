/** Sounds of the caller that no recogniser has told of: when the caller has to be told so. Pure. */

import { FRAME_MS } from "@/lib/audio/frame.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";

export interface Untold {
  /** Of sounds since the last words, by our own ear. */
  readonly soundMs: number;
  /** Of silence behind them. */
  readonly quietMs: number;
  /** There were words of an utterance that the recogniser has not ended. */
  readonly isPending: boolean;
  /** Since when the recogniser has been down, and when that was last told; null: it works. */
  readonly lostSince: number | null;
  readonly lostAt: number;
}

/** Less is a click or a breath; our ear's own hangover is in it. */
const SOUND_MIN_MS = 400;
/** The caller has come to an end: so much behind that hangover, together an endpoint. */
const QUIET_MS = 400;
/** Behind the endpoint: an utterance with words that is not ended by then is stuck in the recogniser. */
const STALLED_MS = 1_500;
/** Sounds so long ago are nobody's turn. */
const FORGOTTEN_MS = 5_000;
/** One that is back sooner hears it all, and nobody need know. */
const LOST_FOR_MS = 300;
/** One that has not failed again for so long works: it owes a sign of life every 2.5 s. */
const LOST_UNTIL_MS = 6_000;

/** Nothing is untold; `lostSince` as above. */
export function untoldOf(lostSince: number | null): Untold {
  return { soundMs: 0, quietMs: 0, isPending: false, lostSince, lostAt: lostSince ?? 0 };
}

/** 20 ms more of the line. */
export function listens(untold: Untold, hasSound: boolean): Untold {
  const { soundMs, quietMs } = untold;
  if (hasSound) return { ...untold, soundMs: soundMs + FRAME_MS, quietMs: 0 };
  if (soundMs === 0) return untold;
  if (quietMs >= FORGOTTEN_MS) return { ...untold, soundMs: 0 };
  return { ...untold, quietMs: quietMs + FRAME_MS };
}

/** The recogniser says something. */
export function tells(untold: Untold, type: Recognition["type"], now: number): Untold {
  switch (type) {
    case "lost":
      return lose(untold, now);
    case "utteranceEnded":
      return untoldOf(null);
    case "interim":
    case "final":
    case "eagerEnded":
      return { ...untold, isPending: true, lostSince: null };
    case "speechStarted":
    case "resumed":
      return { ...untold, lostSince: null };
  }
}

/** It is down, or still is. */
function lose(untold: Untold, now: number): Untold {
  return { ...untold, lostSince: isLost(untold, now) ? untold.lostSince : now, lostAt: now };
}

/** `endpointMs`: silence after which the recogniser is to end an utterance; null: it judges by more than that. */
export function isToBeTold(untold: Untold, now: number, endpointMs: number | null): boolean {
  const { soundMs, quietMs, isPending, lostSince } = untold;
  if (soundMs < SOUND_MIN_MS || quietMs < QUIET_MS) return false;
  if (isPending && endpointMs !== null && quietMs >= endpointMs + STALLED_MS) return true;
  return isLost(untold, now) && lostSince !== null && now - lostSince >= LOST_FOR_MS;
}

function isLost({ lostSince, lostAt }: Untold, now: number): boolean {
  return lostSince !== null && now - lostAt <= LOST_UNTIL_MS;
}
