/** How the phone calls of a number are held, whatever its agent says. */

import type { Graph } from "./graph.ts";

/** `stream`: a media stream, we hear and speak. `relay`: the carrier does both, and text comes and goes. */
export const LEGS = ["stream", "relay"] as const;
export type NumberLeg = typeof LEGS[number];

/** The agent as it holds calls of a number. Null: the number leaves it to the agent. */
export function onLeg(graph: Graph, leg: NumberLeg | null): Graph {
  switch (leg) {
    case null:
      return graph;
    case "stream":
      return { ...graph, relay: null };
    case "relay": {
      // No audio passes a relay: what is to be recorded goes by a stream.
      if (graph.relay !== null || graph.recording !== null) return graph;
      const relay = { ttsProvider: null, transcriptionProvider: null, speechModel: null };
      const nodes = graph.nodes.map((node) => ({ ...node, voice: null }));
      return { ...graph, relay, voice: null, nodes }; // its voice is one of another provider's
    }
  }
}
