/** Keys that the agent presses: their tones wait until they have the line for themselves. */

import { newUtterance } from "@/actors/call/ledger.ts";
import type { Scene } from "./scene.ts";

/** Keys that may wait to be pressed; the oldest go. */
const KEYS_TO_SEND_MAX = 128;

/** Has keys pressed as soon as nobody speaks. */
export function giveKeys(scene: Scene, keys: string): void {
  scene.set({ keysToSend: (scene.dialogue.keysToSend + keys).slice(-KEYS_TO_SEND_MAX) });
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
  scene.effects.push({ type: "begin", generation, isHeld: false, keys: keysToSend });
  scene.turn({ type: "speechGiven", last: false });
}

/** The tones are over. */
export function noteKeysSent(scene: Scene, keys: string, isComplete: boolean): void {
  scene.set({ sending: null });
  scene.record({ type: "keys_sent", digits: keys, isComplete });
}
