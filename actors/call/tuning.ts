/** What a call's recogniser is told of its agent. */

import type { Judgement, TranscribeOptions } from "@/lib/providers/stt/stt.ts";
import { type Graph, languageOf, type TurnSettings } from "@/lib/workflow/graph.ts";
import { endpointingMsOf } from "./scene.ts";

export function hearingOf(graph: Graph): TranscribeOptions {
  const { turns, keyterms } = graph;
  return {
    language: languageOf(graph),
    keyterms,
    endpointingMs: endpointingMsOf(turns),
    ...(turns.endpointing === "provider" ? { judgement: judgementOf(turns) } : {}),
  };
}

function judgementOf({ isEager, recogniser }: TurnSettings): Judgement {
  return { ...recogniser, eagerThreshold: isEager ? recogniser.eagerThreshold : null };
}
