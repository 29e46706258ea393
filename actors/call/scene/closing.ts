/** How a call comes to its end: last words, and the hang-up. */

import { AGENT_HUNG_UP, type Ending } from "@/actors/call/ending.ts";
import type { CallPart } from "@/actors/call/events.ts";
import { endCallerTurn } from "./caller.ts";
import { forget, withdraw } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { cutCurrent, finish, say } from "./speech.ts";

/** Says last words, whoever speaks, and hangs up behind them. */
export function endWith(scene: Scene, sentence: string, ending: Ending): void {
  if (scene.dialogue.ending !== null) return;
  forget(scene);
  withdraw(scene);
  endCallerTurn(scene);
  if (scene.dialogue.open === null && scene.dialogue.unsaid === null) cutCurrent(scene);
  scene.set({ ending });
  say(scene, sentence, true);
  finish(scene);
}

/** Hangs up now. `sentence`: for the carrier's own voice to say; null: nothing. */
export function hangUp(scene: Scene, sentence: string | null): void {
  const ending = scene.dialogue.ending ?? AGENT_HUNG_UP;
  scene.set({ ending });
  scene.effects.push({ type: "hangUp", ending, sentence });
}

/** Something failed for good: the apology, then the end. */
export function giveUp(scene: Scene, part: CallPart, code: string, message: string): void {
  scene.record({ type: "failed", part, code, message });
  const ending = { outcome: "failed", reason: "provider_failed" } as const;
  endWith(scene, scene.rendered(scene.scenario.graph.failureSentence), ending);
}
