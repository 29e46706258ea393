/** Who has answered a call of ours: a person is talked to, a machine handled as the agent is set. */

import {
  type AnsweringEvent,
  type MachineStep,
  takeAnswering,
  type Verdict,
} from "@/actors/call/answering.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import { advance } from "@/lib/workflow/engine.ts";
import { languageOf } from "@/lib/workflow/graph.ts";
import { endCallerTurn } from "./caller.ts";
import { endWith, hangUp } from "./closing.ts";
import type { Scene } from "./scene.ts";
import { forget, withdraw } from "./requests.ts";
import { cutCurrent, endReply, finish, say } from "./speech.ts";
import { takeStep } from "./steps.ts";

/** Finds out who has answered. True: a machine, and what is done about it has been begun. */
export function meetMachine(scene: Scene, text: string, beganAt: number): boolean {
  return judge(scene, { type: "spoke", text, beganAt, at: scene.now }) !== null;
}

/** A beep was heard: a voicemail's, unless it came before any word. */
export function beeped(scene: Scene): void {
  judge(scene, { type: "beeped", isQuiet: isQuiet(scene), at: scene.now });
}

/** No beep came: silence behind the greeting stands for it. */
export function beepDue(scene: Scene): void {
  judge(scene, { type: "beepDue", isQuiet: isQuiet(scene) });
}

/** Nobody has spoken, and the agent does: it may still turn out to be a machine. */
export function greeted(scene: Scene): void {
  judge(scene, { type: "greeted", at: scene.now });
}

/** The carrier says who has answered. True: they are to be greeted now. */
export function detected(scene: Scene, by: CarrierAnswerer): boolean {
  if (scene.dialogue.ending !== null) return false;
  return judge(scene, { type: "detected", by, isQuiet: isQuiet(scene), at: scene.now }) === "greet";
}

function isQuiet(scene: Scene): boolean {
  return scene.dialogue.turn.floor === "quiet";
}

function judge(scene: Scene, event: AnsweringEvent): MachineStep | null {
  const { answering: settings, graph } = scene.scenario;
  if (settings === null) return null;
  const rules = { settings, language: languageOf(graph) };
  const verdict = takeAnswering(scene.dialogue.answering, event, rules);
  if (verdict.by !== null) scene.record({ type: "answered_by", by: verdict.by });
  scene.set({ answering: verdict.answering });
  follow(scene, verdict);
  return verdict.step;
}

function follow(scene: Scene, { by, step }: Verdict): void {
  const { answering: settings, graph } = scene.scenario;
  switch (step) {
    case null:
    case "greet":
      return;
    case "listen": // what they said is answered with the greeting
      scene.set({ preamble: scene.dialogue.entries.length });
      return endReply(scene);
    case "hangUp": {
      const outcome = by === "voicemail" ? "voicemail" : "answered";
      fallSilent(scene);
      scene.set({ ending: { outcome, reason: "agent_hung_up" } });
      return hangUp(scene, null);
    }
    case "awaitBeep":
      fallSilent(scene);
      scene.effects.push({ type: "awaitBeep" });
      return endReply(scene);
    case "waitOn":
      scene.effects.push({ type: "awaitBeep" });
      return;
    case "leaveMessage": {
      fallSilent(scene);
      const message = scene.rendered(settings?.message ?? "");
      return endWith(scene, message, { outcome: "voicemail", reason: "agent_hung_up" });
    }
    case "sayPurpose":
      say(scene, scene.rendered(settings?.purpose ?? ""), false);
      scene.set({ preamble: scene.dialogue.entries.length });
      return finish(scene);
    case "navigate":
      return takeStep(scene, advance(graph, scene.dialogue.workflow, { type: "callerSpoke" }));
  }
}

/** What it was about to say, and is saying, is not for a machine. */
function fallSilent(scene: Scene): void {
  forget(scene);
  withdraw(scene);
  endCallerTurn(scene); // nor is an answer to what was said meanwhile
  cutCurrent(scene);
}
