/** Who hears the room around the agent: a caller whom the agent talks to, and nobody else. */

import type { CallFacts } from "./facts.ts";
import type { CallState } from "./state.ts";

/** Tells the speaker; of an agent without a room nothing. */
export function surround(call: CallFacts, { phase, dialogue, children }: CallState): void {
  if (call.deps.ambience === undefined) return;
  const isHeard = phase === "live" && !dialogue.isMuted; // who mutes it may speak in its place
  children.speaker.send({ type: "surround", leg: isHeard ? children.leg : null });
}
