/** A conversation without a phone: caller lines in, the workflow engine and a model between, what was said out. */

import type { LanguageModel, PromptMessage, ToolCall } from "@/lib/providers/llm/llm.ts";
import {
  advance,
  begin,
  type Step,
  type WorkflowAction,
  type WorkflowState,
} from "@/lib/workflow/engine.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import { promptFor } from "@/lib/workflow/prompt.ts";
import type { Variables } from "@/lib/workflow/template.ts";

export interface TextCall {
  readonly turns: readonly { readonly role: "agent" | "caller"; readonly text: string }[];
  readonly messages: readonly PromptMessage[];
  readonly actions: readonly WorkflowAction[];
  readonly state: WorkflowState;
}

/** Talks until the agent hangs up, or the caller has no more to say. */
export async function talk(
  { graph, model, given = {} }: { graph: Graph; model: LanguageModel; given?: Variables },
  callerLines: Iterable<string>,
): Promise<TextCall> {
  const turns: { role: "agent" | "caller"; text: string }[] = [];
  const messages: PromptMessage[] = [];
  const actions: WorkflowAction[] = [];

  function say(role: "agent" | "caller", text: string): void {
    turns.push({ role, text });
    messages.push({ role, text });
  }

  async function follow(step: Step): Promise<WorkflowState> {
    let respond = false;
    for (const action of step.actions) {
      actions.push(action);
      if (action.type === "say") say("agent", action.text);
      if (action.type === "end") say("agent", action.farewell);
      if (action.type === "answerTool") {
        messages.push({ role: "toolOutput", callId: action.callId, output: action.output });
      }
      if (action.type === "respond") respond = true;
    }
    if (!respond) return step.state;
    const calls: ToolCall[] = [];
    let text = "";
    const prompt = { ...promptFor(graph, step.state), messages, maxTokens: 200, temperature: 0 };
    for await (const delta of model.respond(prompt, new AbortController().signal)) {
      if (delta.type === "text") text += delta.text;
      if (delta.type === "toolCall") calls.push(delta.call);
    }
    if (text !== "") say("agent", text);
    for (const call of calls) messages.push({ role: "toolCall", call });
    return await follow(advance(graph, step.state, { type: "toolsCalled", calls }));
  }

  let state = await follow(begin(graph, given));
  for (const line of callerLines) {
    if (state.outcome !== null) break;
    say("caller", line);
    state = await follow(advance(graph, state, { type: "callerSpoke" }));
  }
  return { turns, messages, actions, state };
}
