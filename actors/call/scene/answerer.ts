/** Who has answered a call of ours: a person is talked to, a machine handled as the agent is set. */

import { answererOf } from "@/lib/speech/answerer.ts";
import { advance } from "@/lib/workflow/engine.ts";
import { languageOf } from "@/lib/workflow/graph.ts";
import { type Answering, REVISE_MS, stepFor } from "@/actors/call/answering.ts";
import { endWith, hangUp } from "./closing.ts";
import type { Scene } from "./scene.ts";
import { endReply, finish, say } from "./speech.ts";
import { takeStep } from "./steps.ts";

/** Finds out who has answered. True: a machine, and what is done about it has been begun. */
export function meetMachine(scene: Scene, text: string, beganAt: number): boolean {
  const { answering: settings, graph } = scene.scenario;
  const { phase, hasBeeped, until } = scene.dialogue.answering;
  if (settings === null || phase === "over") return false;
  if (phase === "awaitingBeep") { // its greeting goes on
    awaitBeep(scene);
    return true;
  }
  if (phase === "talking" && beganAt > until) return false;
  const by = answererOf(text, { language: languageOf(graph), hasBeeped });
  if (phase === "talking" && (by === "human" || by === "unknown")) return false;
  scene.record({ type: "answered_by", by });
  switch (stepFor(by, settings)) {
    case "talk":
      answeredBy(scene, { phase: "talking", until: scene.now + REVISE_MS });
      return false;
    case "hangUp": {
      const outcome = by === "voicemail" ? "voicemail" : "answered";
      answeredBy(scene, { phase: "over" });
      scene.set({ ending: { outcome, reason: "agent_hung_up" } });
      hangUp(scene, null);
      return true;
    }
    case "awaitBeep":
      awaitBeep(scene);
      return true;
    case "sayPurpose": // who is behind it is greeted once they speak
      answeredBy(scene, { phase: "screened" });
      say(scene, scene.rendered(settings.purpose ?? ""), false);
      scene.set({ preamble: scene.dialogue.entries.length });
      finish(scene);
      return true;
    case "navigate":
      answeredBy(scene, { phase: "over" });
      takeStep(scene, advance(graph, scene.dialogue.workflow, { type: "callerSpoke" }));
      return true;
  }
}

/** A beep was heard: a voicemail's, unless it came before any word. */
export function beeped(scene: Scene): void {
  const { answering: { phase, until }, turn } = scene.dialogue;
  if (phase === "listening" && turn.floor === "quiet") return; // a sound of the line, before any word
  answeredBy(scene, { hasBeeped: true });
  if (phase === "awaitingBeep") return leaveMessage(scene);
  if (phase === "talking" && scene.now <= until) meetMachine(scene, "", scene.now);
}

/** No beep came: silence behind the greeting stands for it. */
export function beepDue(scene: Scene): void {
  if (scene.dialogue.answering.phase !== "awaitingBeep") return;
  if (scene.dialogue.turn.floor === "quiet") return leaveMessage(scene);
  scene.effects.push({ type: "awaitBeep" });
}

function awaitBeep(scene: Scene): void {
  answeredBy(scene, { phase: "awaitingBeep" });
  if (scene.dialogue.answering.hasBeeped) return leaveMessage(scene);
  scene.effects.push({ type: "awaitBeep" });
  endReply(scene);
}

function leaveMessage(scene: Scene): void {
  answeredBy(scene, { phase: "over" });
  const message = scene.rendered(scene.scenario.answering?.message ?? "");
  endWith(scene, message, { outcome: "voicemail", reason: "agent_hung_up" });
}

/** Notes what is known of who has answered. */
export function answeredBy(scene: Scene, change: Partial<Answering>): void {
  scene.set({ answering: { ...scene.dialogue.answering, ...change } });
}
