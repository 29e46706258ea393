/** Keys that the caller presses: what was keyed is a turn of theirs. */

import { type Keypad, type KeypadEvent, newKeypad, takeKey } from "@/lib/speech/keypad.ts";
import { keypadOf } from "@/actors/call/tuning.ts";
import { bargeIn } from "./barge_in.ts";
import type { Scene } from "./scene.ts";

/** A key of the caller: it goes on with what they are keying. */
export function pressed(scene: Scene, digit: string): void {
  const { workflow, keypad } = scene.dialogue;
  const begun = keypad ?? newKeypad(keypadOf(scene.scenario.graph, workflow.node), scene.now);
  keyIn(scene, begun, { type: "pressed", digit, at: scene.now });
}

/** Lets what is being keyed take an event; once it is whole it is a turn. */
export function keyIn(scene: Scene, keypad: Keypad, event: KeypadEvent): void {
  const [next, result] = takeKey(keypad, event);
  scene.set({ keypad: result === null ? next : null });
  if (result === null || result.type === "nothing") return;
  if (result.type === "entered") return keyed(scene, `(keyed ${result.digits})`);
  const { minDigits } = keypad.options;
  keyed(scene, `(keyed ${result.digitCount} digits; ${minDigits} are needed)`);
}

/** What was keyed is a turn of the caller, who need not wait for the agent to have spoken. */
function keyed(scene: Scene, text: string): void {
  const { turn } = scene.dialogue;
  if (turn.floor === "agent" && scene.rules.bargeIn.isAllowed) {
    bargeIn(scene);
    scene.set({ turn: { floor: "caller", text: turn.text } });
  }
  if (scene.dialogue.callerEndedAt === null) scene.set({ callerEndedAt: scene.now });
  scene.turn({ type: "keyed", text });
}
