/** What the graph has the agent do: each step of its conversation is recorded, then followed. */

import type { Step, WorkflowAction, WorkflowState } from "@/lib/workflow/engine.ts";
import { endWith } from "./closing.ts";
import { askModel } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { endReply, say } from "./speech.ts";
import { giveKeys } from "./tones.ts";

/** The conversation is there, and it stands on record: first of all that follows from a step. */
export function moveTo(scene: Scene, workflow: WorkflowState): void {
  if (workflow === scene.dialogue.workflow) return;
  scene.set({ workflow });
  scene.record({ type: "workflow_moved", workflow });
}

/** The conversation is where the step leads it, and what it says is done. */
export function takeStep(scene: Scene, step: Step): void {
  moveTo(scene, step.state);
  for (const action of step.actions) follow(scene, action);
}

function follow(scene: Scene, action: WorkflowAction): void {
  switch (action.type) {
    case "say":
      return say(scene, action.text, false);
    case "respond":
      return askModel(scene, 0);
    case "pressKeys":
      return giveKeys(scene, action.keys);
    case "listen":
      return endReply(scene);
    case "answerTool": // stands behind its call
    case "nodeEntered":
    case "variablesSet":
      return; // both stand in the state that was recorded
    case "end": {
      const failed = action.reason !== null;
      return endWith(scene, action.farewell, {
        outcome: failed ? "failed" : "answered",
        reason: failed ? "workflow_failed" : "agent_hung_up",
      });
    }
  }
}
