/** What opens a call: what is said of a recording, and the greeting behind it. */

import { assentOf } from "@/lib/speech/assent.ts";
import { begin } from "@/lib/workflow/engine.ts";
import { languageOf, startOf } from "@/lib/workflow/graph.ts";
import {
  type Disclosure,
  isToBeSaid,
  QUESTIONS_MAX,
  type RecordingEvent,
} from "@/actors/call/disclosure.ts";
import { greeted } from "./answerer.ts";
import { askModel, owesReply } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { endReply, finish, say } from "./speech.ts";
import { takeStep } from "./steps.ts";

/** What is to be said of a recording; then the graph's beginning. */
export function openCall(scene: Scene): void {
  const { graph, consent } = scene.scenario;
  if (isToBeSaid(scene.dialogue.disclosure, consent)) return disclose(scene);
  scene.set({ preamble: scene.dialogue.entries.length });
  takeStep(scene, begin(graph));
}

/** True until what opens the call has been begun, where there is something. */
export function owesGreeting(scene: Scene): boolean {
  const { disclosure } = scene.dialogue;
  const { graph, consent } = scene.scenario;
  return !hasBegun(scene) && disclosure.phase !== "asking" &&
    (startOf(graph).greeting !== "" || isToBeSaid(disclosure, consent));
}

/** True once anything of the conversation itself was said. */
export function hasBegun(scene: Scene): boolean {
  return scene.dialogue.entries.length > scene.dialogue.preamble;
}

/** True when what was said of a recording is all that has been said. */
export function isPreambleOver(scene: Scene): boolean {
  return scene.dialogue.preamble > 0 && !hasBegun(scene);
}

/** The greeting may be let wait; a caller who speaks first is greeted behind their words. */
export function greetingDue(scene: Scene): void {
  const { answering, turn } = scene.dialogue;
  if (answering.phase === "screened") return;
  const isWaiting = scene.scenario.answering?.detector === "carrier" &&
    answering.phase === "listening"; // for the carrier's word, which has not come
  if (turn.floor !== "quiet") return isWaiting ? greeted(scene) : undefined;
  if (!isWaiting && !owesGreeting(scene)) return;
  greeted(scene);
  meet(scene);
}

/** Greets; where there is no greeting, what they have said is answered. */
export function meet(scene: Scene): void {
  if (owesGreeting(scene)) return openCall(scene);
  if (owesReply(scene)) askModel(scene, 0);
}

/** Said to its end, whoever speaks: its last mark is awaited before anything is recorded. */
function disclose(scene: Scene): void {
  const { disclosure, question } = scene.scenario.graph.recording ?? { disclosure: "" };
  const isAsked = scene.scenario.consent === "ask";
  const { questions } = scene.dialogue.disclosure;
  disclosed(scene, { phase: "saying", questions: questions + (isAsked ? 1 : 0) });
  const sentences = isAsked ? [disclosure, question ?? ""] : [disclosure];
  say(scene, scene.rendered(sentences.join(" ")), false);
  scene.set({ preamble: scene.dialogue.entries.length });
  finish(scene);
}

/** The sentence is over: heard to its end, or cut off. */
export function toldOfRecording(scene: Scene, isHeard: boolean): void {
  const { consent } = scene.scenario;
  if (!isHeard || consent === null) {
    scene.set({ preamble: scene.dialogue.entries.length });
    return disclosed(scene, { phase: "missed" });
  }
  scene.record({ type: "recording_disclosed", consent });
  if (consent === "ask") return disclosed(scene, { phase: "asking" });
  disclosed(scene, { phase: "over" });
  scene.effects.push({ type: "startRecording" });
}

/** What the caller said when they were asked; without a yes the call goes on unrecorded. */
export function answeredOfRecording(scene: Scene, text: string): void {
  const { graph } = scene.scenario;
  const { questions } = scene.dialogue.disclosure;
  const assent = assentOf(text, languageOf(graph));
  scene.set({ preamble: scene.dialogue.entries.length });
  if (assent === null && questions < QUESTIONS_MAX) {
    disclosed(scene, { phase: "asking", questions: questions + 1 });
    say(scene, scene.rendered(graph.recording?.question ?? ""), false);
    scene.set({ preamble: scene.dialogue.entries.length });
    return finish(scene);
  }
  consented(scene, assent ?? "unclear");
  openCall(scene);
  if (scene.dialogue.open === null && scene.dialogue.reply === null) endReply(scene);
}

/** What the caller made of the question is on record; only a yes starts a recording. */
export function consented(
  scene: Scene,
  answer: Extract<RecordingEvent, { type: "recording_answered" }>["answer"],
): void {
  const isGiven = answer === "yes";
  scene.record({ type: "recording_answered", isGiven, answer });
  disclosed(scene, { phase: "over" });
  if (isGiven) scene.effects.push({ type: "startRecording" });
}

/** Notes how far the call is with what is said of a recording. */
export function disclosed(scene: Scene, change: Partial<Disclosure>): void {
  scene.set({ disclosure: { ...scene.dialogue.disclosure, ...change } });
}
