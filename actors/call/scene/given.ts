/** What others have the agent say, and its silence while somebody speaks in its place. */

import { openCall, owesGreeting } from "./opening.ts";
import { askModel, forget, owesReply, withdraw } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { cutCurrent, finish, say } from "./speech.ts";

/** Sentences that may wait to be said; the oldest go. */
const GIVEN_MAX = 10;

/** What somebody else gives the agent to say. It waits for the caller, and for what is being said. */
export function give(scene: Scene, sentence: string, interrupts: boolean): void {
  const { ending, turn } = scene.dialogue;
  if (ending !== null) return;
  if (interrupts && turn.floor === "agent" && scene.dialogue.sending === null) {
    withdraw(scene);
    cutCurrent(scene);
  }
  scene.set({ given: [...scene.dialogue.given, sentence].slice(-GIVEN_MAX) });
  const { floor } = scene.dialogue.turn;
  if (floor !== "quiet" && floor !== "thinking") return;
  sayGiven(scene);
  if (floor === "quiet") finish(scene);
}

/** Says the sentences that have waited. */
export function sayGiven(scene: Scene): void {
  const { given } = scene.dialogue;
  if (given.length === 0) return;
  scene.set({ given: [] });
  for (const sentence of given) say(scene, sentence, false);
}

/** The agent says nothing by itself from here on, and stops what it is saying. */
export function mute(scene: Scene): void {
  forget(scene);
  withdraw(scene);
  scene.set({ isMuted: true });
  if (scene.dialogue.ending !== null) return;
  if (scene.dialogue.turn.floor === "thinking") return scene.turn({ type: "replyEmpty" });
  if (scene.dialogue.turn.floor === "agent" && scene.dialogue.sending === null) cutCurrent(scene);
}

/** The agent has the word again, and says what it owes. */
export function unmute(scene: Scene): void {
  scene.set({ isMuted: false });
  const { turn, ending } = scene.dialogue;
  if (turn.floor !== "quiet" || ending !== null) return;
  if (owesGreeting(scene)) return openCall(scene);
  if (owesReply(scene)) askModel(scene, 0);
}
