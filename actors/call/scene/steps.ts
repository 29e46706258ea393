/** What the graph has the agent do: each step of its conversation is recorded, then followed. */

import type { Step, WorkflowAction } from "@/lib/workflow/engine.ts";
import { endWith } from "./closing.ts";
import { askModel } from "./requests.ts";
import type { Scene } from "./scene.ts";
import { endReply, say } from "./speech.ts";
import { giveKeys } from "./tones.ts";

/** The conversation is where the step leads it, and what it says is done. */
export function takeStep(scene: Scene, step: Step): void {
  const moved = step.state !== scene.dialogue.workflow;
  scene.set({ workflow: step.state });
  if (moved) scene.record({ type: "workflow_moved", workflow: step.state });
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
