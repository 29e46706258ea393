/** The caller speaks while the agent does: it falls silent, and goes on if the voice came to nothing. */

import type { Utterance } from "@/actors/call/ledger.ts";
import { replied } from "./replies.ts";
import { askModel, owesReply } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { cutCurrent, finish, say, unheardOf } from "./speech.ts";

/** The caller may be speaking: the reply is made on, and not said before that is known. */
export function holdBack(scene: Scene): void {
  const { reply, cutOff } = scene.dialogue;
  if (cutOff !== null) scene.set({ cutOff: { ...cutOff, isDue: false } });
  if (reply !== null && reply.heldBack === null) scene.set({ reply: { ...reply, heldBack: "" } });
}

/** The agent falls silent; what was cut off is kept until it is known what the caller said. */
export function bargeIn(scene: Scene): void {
  holdBack(scene);
  const current = scene.dialogue.utterances.at(-1);
  cutCurrent(scene);
  if (current === undefined || current.cutAt !== null) return;
  scene.set({ cutOff: { generation: current.generation, rest: null, isDue: false } });
}

/** The caller's voice came to nothing: what was cut off and what was held back are said. */
export function goOn(scene: Scene): void {
  const { cutOff, reply } = scene.dialogue;
  if (cutOff !== null && cutOff.rest === null) {
    scene.set({ cutOff: { ...cutOff, isDue: true } }); // its marks are on their way
    if (reply !== null) scene.turn({ type: "replyAsked" });
    return;
  }
  const text = [cutOff?.rest ?? "", reply?.heldBack ?? ""].filter((it) => it !== "").join(" ");
  scene.set({ cutOff: null, callerBeganAt: null, callerEndedAt: null });
  if (reply !== null) scene.set({ reply: { ...reply, heldBack: null, isOver: false } });
  if (text !== "") say(scene, text, false);
  if (reply !== null) {
    if (text === "") scene.turn({ type: "replyAsked" });
    const { reply: current } = scene.dialogue;
    if (reply.isOver && current !== null) replied(scene, current);
    return;
  }
  if (text !== "") return finish(scene);
  if (owesReply(scene)) askModel(scene, 0);
}

/** What was cut off is known to the word; it goes on if the voice that cut it off came to nothing. */
export function cutSettled(scene: Scene, utterance: Utterance): void {
  const { cutOff } = scene.dialogue;
  if (cutOff === null || cutOff.generation !== utterance.generation) return;
  scene.set({ cutOff: { ...cutOff, rest: unheardOf(scene, utterance) } });
  const { floor } = scene.dialogue.turn;
  if (cutOff.isDue && (floor === "quiet" || floor === "thinking")) goOn(scene);
}
