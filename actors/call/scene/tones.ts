/** Keys that the agent presses: their tones wait until they have the line for themselves. */

import { newUtterance } from "@/actors/call/ledger.ts";
import type { Scene } from "./scene.ts";

/** Keys that may wait to be pressed; the oldest go. */
const KEYS_TO_SEND_MAX = 128;

/** What the model is told where nobody knows whether keys were heard: they are not pressed again unasked. */
export const CUT_OFF =
  "The keys that were pressed last were cut off: how many of them were heard is not known.";

/** Has keys pressed as soon as nobody speaks. */
export function giveKeys(scene: Scene, keys: string): void {
  scene.set({ keysToSend: withKeys(scene.dialogue.keysToSend, keys) });
}

/** Those that wait, and more. */
export function withKeys(waiting: string, keys: string): string {
  return (waiting + keys).slice(-KEYS_TO_SEND_MAX);
}

/** Once nobody speaks and nothing is on its way to be said, the tones have the line for themselves. */
export function sendKeys(scene: Scene): void {
  const { keysToSend, sending, turn, reply, open, unsaid, ending } = scene.dialogue;
  const { utterances, counts } = scene.dialogue;
  const isSilent = turn.floor === "quiet" && reply === null && open === null && unsaid === null &&
    utterances.every(({ cutAt }) => cutAt !== null);
  if (keysToSend === "" || sending !== null || !isSilent || ending !== null) return;
  const generation = counts.generations + 1;
  scene.set({
    keysToSend: "",
    sending: { generation, keys: keysToSend },
    counts: { ...counts, generations: generation },
    utterances: [...utterances, newUtterance(generation, counts.turns)],
    cutOff: null,
  });
  scene.record({ type: "keys_begun", digits: keysToSend });
  scene.effects.push({ type: "begin", generation, isHeld: false, keys: keysToSend });
  scene.turn({ type: "speechGiven", last: false });
}

/** The tones are over. */
export function noteKeysSent(scene: Scene, keys: string, isComplete: boolean): void {
  const { notes } = scene.dialogue;
  scene.set({ sending: null, notes: isComplete ? notes : [...notes, CUT_OFF] });
  scene.record({ type: "keys_sent", digits: keys, isComplete });
}
