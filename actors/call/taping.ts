/** A recording that is on in a call, and what keeps it silent. Pure. */

import type { Running } from "@/actors/recording/recordings.ts";
import type { Pause, RecordingEvent } from "./disclosure.ts";
import type { LegMessage } from "./leg.ts";

export interface Taping {
  readonly running: Running;
  /** Why it is silent now; empty: it is not. */
  readonly pauses: readonly Pause[];
}

/** Of several causes the first makes it silent, and the last one that goes lets it hear; null: nothing has changed on the tape. */
export function pauseTaping(
  taping: Taping,
  { cause, isPaused }: { readonly cause: Pause; readonly isPaused: boolean },
): readonly [Taping, RecordingEvent | null] {
  const others = taping.pauses.filter((it) => it !== cause);
  const next: Taping = { ...taping, pauses: isPaused ? [...others, cause] : others };
  const isSame = taping.pauses.includes(cause) === isPaused;
  if (isSame || others.length > 0) return [next, null];
  return [next, isPaused ? { type: "recording_paused", cause } : { type: "recording_resumed" }];
}

/** Has a leg taped from now on. */
export function tapeMessage({ running, pauses }: Taping): LegMessage {
  return { type: "tape", running, isPaused: pauses.length > 0 };
}
