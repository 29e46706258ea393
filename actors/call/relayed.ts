/** A call whose carrier hears and speaks for the agent: what of the agent's settings rules there, and how it is set up. */

import type { RelaySetup } from "@/lib/providers/carrier/relay.ts";
import { type Graph, nodeOf, startOf } from "@/lib/workflow/graph.ts";
import type { Dialogue } from "./dialogue.ts";
import { hearingAt } from "./tuning.ts";

/** The carrier says when a turn is over and when the agent was interrupted: it has fallen silent then already. */
export function asRelayed(graph: Graph): Graph {
  const { turns } = graph;
  const bargeIn = { ...turns.bargeIn, bySound: true, speechMs: 0, words: 1 };
  return { ...graph, turns: { ...turns, endpointing: "provider", isEager: false, bargeIn } };
}

export function relaySetup(graph: Graph): RelaySetup {
  const { ttsProvider, transcriptionProvider, speechModel } = graph.relay ?? HOUSE;
  const { bargeIn } = graph.turns;
  const start = startOf(graph);
  const { language, keyterms } = hearingAt(graph, start.id);
  return {
    ...{ ttsProvider, transcriptionProvider, speechModel },
    language: withRegion(language),
    voice: start.voice ?? graph.voice,
    hints: keyterms.map((term) => term.replaceAll(",", " ")),
    isInterruptible: bargeIn.isAllowed,
    ignoresBackchannels: bargeIn.ignoresBackchannels,
  };
}

/** Whether the caller may speak over what is said now. Last words are said to their end. */
export function isInterruptible(graph: Graph, { workflow, ending, disclosure }: Dialogue): boolean {
  const node = nodeOf(graph, workflow.node);
  const isAllowed = node.type !== "end" && node.isInterruptible && graph.turns.bargeIn.isAllowed;
  return isAllowed && ending === null && disclosure.phase !== "saying";
}

const HOUSE = { ttsProvider: null, transcriptionProvider: null, speechModel: null };

/** The carrier wants `en-US`, not `en`: the region where most of its speakers are. */
export function withRegion(language: string): string {
  const locale = new Intl.Locale(language);
  const { region } = locale.region === undefined ? locale.maximize() : locale;
  return region === undefined ? language : `${locale.language}-${region}`;
}
