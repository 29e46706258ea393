/** A reply of the model, as it comes in: clauses to say, functions to call, failures to bridge. */

import type { StreamItem } from "@/actors/runtime/actor.ts";
import type { ModelDelta } from "@/lib/providers/llm/llm.ts";
import { advance } from "@/lib/workflow/engine.ts";
import { addText, flushStalled, lastClause, noClauses } from "@/actors/call/clauses.ts";
import type { Reply } from "@/actors/call/dialogue.ts";
import { giveUp } from "./closing.ts";
import { askModel } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { endReply, say, unheardOf } from "./speech.ts";
import { moveTo, takeStep } from "./steps.ts";

/** Requests of one turn that may fail before the call gives up. */
const REQUEST_FAILURES_MAX = 1;

/** A piece of a reply, or its end. What is not of the newest request is dropped. */
export function modelSaid(scene: Scene, request: number, item: StreamItem<ModelDelta>): void {
  const { reply } = scene.dialogue;
  if (reply?.request !== request) return;
  switch (item.type) {
    case "item":
      return delta(scene, reply, item.value);
    case "failed":
      return requestFailed(scene, item.error.code, item.error.message, item.error.retryable);
    case "ended":
      return replied(scene, reply);
  }
}

function delta(scene: Scene, reply: Reply, delta: ModelDelta): void {
  switch (delta.type) {
    case "text": {
      scene.note("firstToken", scene.now);
      const [clauses, complete] = addText(reply.clauses, delta.text);
      scene.set({ reply: { ...reply, clauses } });
      for (const clause of complete) sayOf(scene, clause);
      if (flushStalled(clauses) !== null) awaitToken(scene, reply.request);
      return;
    }
    case "toolCall":
      return scene.set({ reply: { ...reply, calls: [...reply.calls, delta.call] } });
    case "usage":
    case "finished":
      return;
  }
}

/** The model has stalled within a clause: where the caller would hear nothing, what there is of it is said. */
export function stalled(scene: Scene, request: number): void {
  const { reply, open, utterances } = scene.dialogue;
  if (reply?.request !== request) return;
  const flushed = flushStalled(reply.clauses);
  if (flushed === null) return;
  const current = utterances.at(-1);
  const isSpeaking = open !== null && current?.generation === open.generation &&
    unheardOf(scene, current) !== "";
  if (reply.clauses.begun && isSpeaking) return awaitToken(scene, request);
  const [clauses, clause] = flushed;
  scene.set({ reply: { ...reply, clauses } });
  sayOf(scene, clause);
}

function awaitToken(scene: Scene, request: number): void {
  scene.effects.push({ type: "awaitToken", request });
}

/** A clause of the reply: said, or kept for later. */
function sayOf(scene: Scene, clause: string): void {
  const { reply } = scene.dialogue;
  if (reply === null || reply.heldBack === null) return say(scene, clause, false);
  scene.set({ reply: { ...reply, heldBack: `${reply.heldBack} ${clause}`.trim() } });
}

/** The reply is complete: its last clause is said, its functions take the graph on. */
export function replied(scene: Scene, given: Reply): void {
  const rest = lastClause(given.clauses);
  if (rest !== null) sayOf(scene, rest);
  const reply = { ...(scene.dialogue.reply ?? given), clauses: noClauses };
  if (reply.heldBack !== null) return scene.set({ reply: { ...reply, isOver: true } });
  scene.set({ reply: null });
  if (reply.calls.length === 0) {
    return endReply(scene);
  }
  const { graph } = scene.scenario;
  const step = advance(graph, scene.dialogue.workflow, {
    type: "toolsCalled",
    calls: reply.calls,
  });
  moveTo(scene, step.state); // what was called is done: with its output alone on record it would be lost
  for (const call of reply.calls) {
    const answer = step.actions.find((it) => it.type === "answerTool" && it.callId === call.id);
    const output = answer?.type === "answerTool" ? answer.output : "";
    scene.record({ type: "tool_called", call, output });
    scene.set({
      entries: [
        ...scene.dialogue.entries,
        { role: "toolCall", call },
        { role: "toolOutput", callId: call.id, output },
      ],
    });
  }
  takeStep(scene, step);
}

/** A request came to nothing: another is made, or the call gives up. */
export function requestFailed(scene: Scene, code: string, message: string, retryable = true): void {
  const { reply } = scene.dialogue;
  if (reply === null) return;
  scene.set({ reply: null });
  if (reply.heldBack !== null) { // if the caller has said nothing, it is asked anew
    scene.record({ type: "failed", part: "model", code, message });
    return scene.turn({ type: "replyEmpty" });
  }
  if (reply.clauses.begun) { // half an answer has been said: the caller can go on from it
    scene.record({ type: "failed", part: "model", code, message });
    return endReply(scene);
  }
  if (retryable && reply.failures < REQUEST_FAILURES_MAX) {
    scene.record({ type: "failed", part: "model", code, message });
    return askModel(scene, reply.failures + 1);
  }
  giveUp(scene, "model", code, message);
}
