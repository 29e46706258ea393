/** What a caller's screen shows: events of the call, as notices to the page. Pure. */

import type { Notice } from "@/lib/providers/carrier/carrier.ts";
import type { CallEvent } from "./events.ts";
import type { PlacedWord, Utterance } from "./ledger.ts";

/** Nothing that tells more than the caller has said or heard themselves. */
export function noticesOf(event: CallEvent): Notice[] {
  if (event.type !== "agent_said") return [];
  const { text, unheard, gapMs, parts } = event;
  const said: Notice = { type: "agentSaid", heard: text, unheard };
  if (gapMs === null || parts === null) return [said];
  return [said, { type: "latency", gapMs, parts: { ...parts } }];
}

/** Words that have just been placed, behind those there are of their utterance. */
export function wordsOf(
  { generation, words }: { readonly generation: number; readonly words: readonly PlacedWord[] },
  utterances: readonly Utterance[],
): Notice {
  const before = utterances.find((utterance) => utterance.generation === generation);
  return {
    type: "words",
    generation,
    index: before?.words.length ?? 0,
    words: words.map(({ text }) => text),
  };
}
