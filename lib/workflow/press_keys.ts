/** Keys that an agent presses, to find its way through another company's menu. Pure. */

import { z } from "zod";
import type { Tool } from "@/lib/providers/llm/llm.ts";
import type { Graph } from "./graph.ts";
import { nodeOf } from "./graph.ts";

/** Keys of one go: the longest account numbers are shorter. */
export const KEYS_MAX = 32;
/** 0 to 9, A to D, `*` and `#`; `w` waits for half a second. */
export const Keys = z.string().max(KEYS_MAX).regex(/^[0-9A-Da-dwW*#]+$/);

/** The function's name: no edge of a node that may press keys has it. */
export const PRESS_KEYS = "press_keys";

const Arguments = z.object({ digits: Keys });

export const pressKeysTool: Tool = {
  name: PRESS_KEYS,
  description:
    "Press keys of the telephone, where a machine has asked for them. It is listened to " +
    "afterwards, so say nothing with it.",
  parameters: {
    type: "object",
    properties: {
      digits: {
        type: "string",
        description: `At most ${KEYS_MAX} of 0 to 9, A to D, * and #; w waits for half a second.`,
      },
    },
    required: ["digits"],
    additionalProperties: false,
  },
};

export function mayPressKeys(graph: Graph, nodeId: string): boolean {
  const node = nodeOf(graph, nodeId);
  return node.type !== "end" && node.mayPressKeys;
}

/** The keys of a call of the function; null when they are none. */
export function keysOf(json: string): string | null {
  try {
    return Arguments.safeParse(JSON.parse(json)).data?.digits ?? null;
  } catch {
    return null; // models write what they like
  }
}
