/** What a call's recogniser and voice are told at a node of its agent. */

import type { Judgement, TranscribeOptions } from "@/lib/providers/stt/stt.ts";
import type { SynthesisOptions } from "@/lib/providers/tts/tts.ts";
import type { KeypadOptions } from "@/lib/speech/keypad.ts";
import {
  type Graph,
  languageOf,
  nodeOf,
  startOf,
  type TurnSettings,
} from "@/lib/workflow/graph.ts";
import { endpointingMsOf } from "./pauses.ts";

/** A recogniser takes no more. */
const KEYTERMS_MAX = 100;

export function hearingAt(graph: Graph, nodeId: string): TranscribeOptions {
  const { turns } = graph;
  const node = nodeOf(graph, nodeId);
  const own = node.type === "end" ? [] : node.keyterms;
  return {
    language: node.language ?? languageOf(graph),
    keyterms: [...new Set([...own, ...graph.keyterms])].slice(0, KEYTERMS_MAX),
    endpointingMs: endpointingMsOf(turns),
    ...(turns.endpointing === "provider" ? { judgement: judgementOf(turns) } : {}),
  };
}

export function voiceAt(graph: Graph, nodeId: string): SynthesisOptions {
  const node = nodeOf(graph, nodeId);
  const speed = node.speed ?? graph.speed;
  return {
    voice: node.voice ?? graph.voice,
    language: node.language ?? languageOf(graph),
    ...(speed === null ? {} : { speed }),
  };
}

/** Whoever keys at an end is at none of its variables. */
const UNNAMED = { variable: null, isMasked: false };

/** How numbers are keyed at a node; at an end, as anywhere where nothing is said of it. */
export function keypadOf(graph: Graph, nodeId: string): KeypadOptions {
  const node = nodeOf(graph, nodeId);
  const { timeoutMs, ...keypad } = node.type === "end" ? startOf(graph).keypad : node.keypad;
  const { variable, isMasked } = node.type === "end" ? UNNAMED : keypad;
  return { ...keypad, firstDigitMs: timeoutMs, interDigitMs: timeoutMs, variable, isMasked };
}

function judgementOf({ isEager, recogniser }: TurnSettings): Judgement {
  return { ...recogniser, eagerThreshold: isEager ? recogniser.eagerThreshold : null };
}
