/** Keys that the caller presses: what was keyed is a turn of theirs. */

import { type Keypad, type KeypadEvent, newKeypad, takeKey } from "@/lib/speech/keypad.ts";
import { keypadOf } from "@/actors/call/tuning.ts";
import { keyed } from "@/lib/workflow/engine.ts";
import { bargeIn } from "./barge_in.ts";
import { forget } from "./requests.ts";
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
  const { minDigits, variable, isMasked } = keypad.options;
  if (result.type === "entered") {
    const { digits } = result;
    if (variable !== null) keep(scene, variable, digits);
    return endKeying(scene, isMasked ? `(keyed ${digits.length} digits)` : `(keyed ${digits})`);
  }
  endKeying(scene, `(keyed ${result.digitCount} digits; ${minDigits} are needed)`);
}

/** It is the value of a variable, whatever the model makes of the turn. */
function keep(scene: Scene, variable: string, digits: string): void {
  forget(scene); // it was made without knowing this
  const workflow = keyed(scene.dialogue.workflow, variable, digits);
  scene.set({ workflow });
  scene.record({ type: "workflow_moved", workflow });
}

/** What was keyed is a turn of the caller, who need not wait for the agent to have spoken. */
function endKeying(scene: Scene, text: string): void {
  const { turn } = scene.dialogue;
  if (turn.floor === "agent" && scene.rules.bargeIn.isAllowed) {
    bargeIn(scene);
    scene.set({ turn: { floor: "caller", text: turn.text } });
  }
  if (scene.dialogue.callerEndedAt === null) scene.set({ callerEndedAt: scene.now });
  scene.turn({ type: "keyed", text });
}
