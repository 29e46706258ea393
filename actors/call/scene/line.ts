/** The line comes and goes: what was not heard on one leg is said on the next. */

import type { WorkflowState } from "@/lib/workflow/engine.ts";
import { type Graph, languageOf, nodeOf } from "@/lib/workflow/graph.ts";
import { repeatOf } from "@/lib/workflow/phrases.ts";
import { render } from "@/lib/workflow/template.ts";
import type { Dialogue } from "@/actors/call/dialogue.ts";
import { AGENT_HUNG_UP } from "@/actors/call/ending.ts";
import type { BrokenOff } from "@/actors/call/events.ts";
import { cutUtterance, settle } from "@/actors/call/ledger.ts";
import { endCallerTurn } from "./caller.ts";
import { endWith, hangUp } from "./closing.ts";
import { sayGiven } from "./given.ts";
import { disclosed, hasBegun, openCall, owesGreeting } from "./opening.ts";
import { isSpeaking } from "./progress.ts";
import { askModel, forget, owesReply, withdraw } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { finish, remainderOf, say, updateUtterance } from "./speech.ts";

/** A leg is there. What was not heard is said, or what opens the call; `greetsLater`: that waits. */
export function legReady(scene: Scene, greetsLater: boolean): void {
  const { graph } = scene.scenario;
  const { unsaid, ending, workflow, disclosure, brokeOff } = scene.dialogue;
  if (scene.scenario.consent === "none" && disclosure.phase === "due") {
    disclosed(scene, { phase: "over" });
    scene.effects.push({ type: "startRecording" });
  }
  scene.set({ unsaid: null, brokeOff: null });
  if (!hasBegun(scene) && ending === null) { // it is said whole
    return greetsLater ? undefined : openCall(scene);
  }
  const isAnswerSaid = unsaid !== null && unsaid !== "";
  const isOwed = brokeOff === null ? !isAnswerSaid && owesReply(scene) : brokeOff !== "caller";
  if (isAnswerSaid) say(scene, unsaid, ending !== null);
  else if (ending !== null) return hangUp(scene, null);
  else if (workflow.outcome !== null) {
    return endWith(scene, farewellOf(graph, workflow), AGENT_HUNG_UP);
  }
  if (ending === null && !scene.dialogue.isMuted) {
    if (brokeOff === "caller") askAgain(scene);
    if (isOwed) return askModel(scene, 0, brokeOff === "answer");
    sayGiven(scene);
    awaitCaller(scene);
  }
  finish(scene);
}

/** No mark will come of what was being said: it is taken as heard up to the last one. */
export function legLost(scene: Scene): void {
  scene.set({ brokeOff: brokenOff(scene.dialogue) });
  forget(scene);
  withdraw(scene);
  const { turn, disclosure } = scene.dialogue;
  const isUnopened = disclosure.phase === "asking" ? !hasBegun(scene) : owesGreeting(scene);
  endCallerTurn(scene);
  if (isUnopened) scene.set({ preamble: scene.dialogue.entries.length }); // what opens it comes behind their words
  if ("prompts" in turn) scene.set({ turn: { floor: "quiet", prompts: turn.prompts } });
  if (disclosure.phase === "asking") disclosed(scene, { phase: "missed" });
  const { cutOff } = scene.dialogue;
  const due = cutOff?.isDue ? cutOff.generation : null; // it was to go on
  scene.set({ cutOff: null });
  for (const utterance of scene.dialogue.utterances) {
    const unsaid = remainderOf(scene, utterance);
    updateUtterance(scene, utterance.generation, (it) => settle(cutUtterance(it, scene.now)));
    if (utterance.cutAt === null || utterance.generation === due) scene.set({ unsaid });
  }
  scene.set({ open: null, milestones: {} });
}

function brokenOff(dialogue: Dialogue): BrokenOff | null {
  const { reply, brokeOff } = dialogue;
  if (isSpeaking(dialogue)) return "caller";
  if (reply === null) return brokeOff;
  return reply.clauses.begun ? "answer" : "request";
}

/** Nothing is owed to them: it is their turn, and they may have spoken while nobody heard it. */
function awaitCaller(scene: Scene): void {
  const { turn, answering } = scene.dialogue;
  if (turn.floor !== "quiet" || answering.phase === "awaitingBeep") return;
  scene.set({ turn: { ...turn, isCutOff: true } });
}

/** Words of the caller are lost: they are asked for them. */
function askAgain(scene: Scene): void {
  const { graph } = scene.scenario;
  say(scene, scene.rendered(repeatOf(languageOf(graph)) ?? graph.idlePrompt), false);
}

/** Only the end of what they said was heard. */
export function heardMidway(scene: Scene): void {
  askAgain(scene);
  finish(scene);
}

/** They say nothing: what they have said was not heard. */
export function heardNothing(scene: Scene): void {
  if (scene.dialogue.isMuted) return;
  scene.set({ milestones: {} });
  askAgain(scene);
  finish(scene);
}

/** What an ended conversation closes with, where the words themselves are lost. */
function farewellOf(graph: Graph, { node, variables }: WorkflowState): string {
  const at = nodeOf(graph, node);
  return render(at.type === "end" ? at.farewell : graph.failureSentence, variables);
}
