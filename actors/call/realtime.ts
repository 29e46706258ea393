/** A call whose agent hears and speaks with one model: what of its settings rules there, and what the model is told was heard. */

import type { HeardOf } from "@/lib/providers/realtime/voice.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import type { Dialogue } from "./dialogue.ts";
import type { CallEvent } from "./events.ts";

/** Its session begins answers in advance by itself: a second one would be made of the same words. */
export function asOneModel(graph: Graph): Graph {
  return { ...graph, turns: { ...graph.turns, isEager: false } };
}

/** Null for an event that settles no utterance of `before`. */
export function heardBy(event: CallEvent, { utterances }: Dialogue): HeardOf | null {
  if (event.type !== "agent_said") return null;
  const utterance = utterances.find(({ turn }) => turn === event.turn);
  if (utterance === undefined) return null;
  return { utterance: utterance.generation, text: event.text, isCut: event.bargedIn };
}
