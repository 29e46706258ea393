/** What of an utterance the caller has heard, for a voice whose model must know what it said. */

import type { HeardOf } from "@/lib/providers/realtime/voice.ts";
import type { Dialogue } from "./dialogue.ts";
import type { CallEvent } from "./events.ts";

/** Null for an event that settles no utterance of `before`. */
export function heardBy(event: CallEvent, { utterances }: Dialogue): HeardOf | null {
  if (event.type !== "agent_said") return null;
  const utterance = utterances.find(({ turn }) => turn === event.turn);
  if (utterance === undefined) return null;
  return { utterance: utterance.generation, text: event.text, isCut: event.bargedIn };
}
