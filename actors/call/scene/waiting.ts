/** What the agent says into a silence: a filler, a prompt to speak, or that it has heard nothing. */

import { languageOf } from "@/lib/workflow/graph.ts";
import { fillersOf, unheardOf } from "@/lib/workflow/phrases.ts";
import { goOn } from "./barge_in.ts";
import { endWith, giveUp } from "./closing.ts";
import { consented, openCall, owesGreeting } from "./opening.ts";
import type { Scene } from "./scene.ts";
import { finish, say } from "./speech.ts";

/** A caller who was told so often that they were not heard, and is not again, is let go. */
const UNHEARD_MAX = 2;

/** Bridges the wait for a reply, in the utterance that goes on with it. */
export function fill(scene: Scene): void {
  const { reply } = scene.dialogue;
  const { graph } = scene.scenario;
  const sentences = graph.fillers ?? fillersOf(languageOf(graph));
  const sentence = sentences[(reply?.fillers ?? 0) % Math.max(sentences.length, 1)];
  if (reply === null || sentence === undefined) return;
  scene.set({ reply: { ...reply, fillers: reply.fillers + 1 } });
  say(scene, scene.rendered(sentence), false, true);
}

/** The caller has been silent: they are prompted to speak, so many times, then let go. */
export function promptIdle(scene: Scene, prompts: number): void {
  const { graph } = scene.scenario;
  if (scene.dialogue.isMuted || scene.dialogue.answering.phase === "awaitingBeep") return;
  scene.set({ milestones: {} });
  if (scene.dialogue.disclosure.phase === "asking") { // who says nothing has not agreed
    consented(scene, "silence");
    return openCall(scene);
  }
  if (prompts >= graph.limits.idlePromptCount) {
    const ending = { outcome: "answered", reason: "caller_silent" } as const;
    return endWith(scene, scene.rendered(graph.idleFarewell), ending);
  }
  say(scene, scene.rendered(graph.idlePrompt), false);
  finish(scene);
}

/** The recogniser is down, and the caller has spoken. In a language without such a sentence they are asked to speak. */
export function sayUnheard(scene: Scene): void {
  const { unheard, isMuted, cutOff, reply } = scene.dialogue;
  const { graph } = scene.scenario;
  if (isMuted) return scene.set({ turn: { floor: "quiet", prompts: 0 } });
  if (cutOff !== null || reply !== null) return goOn(scene); // and told behind it
  if (owesGreeting(scene)) return openCall(scene);
  const message = "Caller could not be heard";
  if (unheard >= UNHEARD_MAX) return giveUp(scene, "listener", "provider_failed", message);
  scene.record({ type: "failed", part: "listener", code: "provider_failed", message });
  scene.set({ unheard: unheard + 1, milestones: {}, callerBeganAt: null, callerEndedAt: null });
  const sentence = unheardOf(languageOf(graph))[unheard] ?? graph.idlePrompt;
  say(scene, scene.rendered(sentence), false);
  finish(scene);
}
