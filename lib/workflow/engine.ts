/** The workflow engine: where a conversation stands in its graph, and what follows from what happens. Pure. */

import type { ToolCall } from "@/lib/providers/llm/llm.ts";
import { type Edge, type Graph, nodeOf, startOf } from "./graph.ts";
import { askedVariables } from "./masking.ts";
import { KEYS_MAX, keysOf, mayPressKeys, PRESS_KEYS } from "./press_keys.ts";
import { render, type Variables } from "./template.ts";
import { collect } from "./variables.ts";

/** Functions a model may call before the caller speaks again: a model that does no better is stuck. */
export const TURN_CALLS_MAX = 8;
/** Nodes a call may enter after its first. */
export const CALL_TRANSITIONS_MAX = 100;

/** Plain JSON: it is stored in events, and a call is rebuilt from it. */
export interface WorkflowState {
  /** The id of the node the conversation is at. */
  readonly node: string;
  readonly variables: Variables;
  /** Edges taken in this call. */
  readonly transitions: number;
  /** Functions called since the caller last spoke. */
  readonly turnCalls: number;
  /** An end's outcome, or `failed`; null while the conversation goes on. */
  readonly outcome: string | null;
}

export type WorkflowEvent =
  /** A turn of the caller is complete, and stands in the conversation. */
  | { readonly type: "callerSpoke" }
  /** All calls of one reply of the model, in its order. Only the first that leads on is followed. */
  | { readonly type: "toolsCalled"; readonly calls: readonly ToolCall[] };

/** To be done in their order. */
export type WorkflowAction =
  /** Say it verbatim. */
  | { readonly type: "say"; readonly text: string }
  /** Ask the model for a reply, with `promptFor` the new state. If it calls nothing, listen after it. */
  | { readonly type: "respond" }
  /** Wait for the caller. */
  | { readonly type: "listen" }
  /** Exactly one for every call. Put it into the conversation. */
  | { readonly type: "answerTool"; readonly callId: string; readonly output: string }
  /** Press these on the caller's line as soon as nobody speaks. */
  | { readonly type: "pressKeys"; readonly keys: string }
  | { readonly type: "nodeEntered"; readonly node: string }
  /** Those of this transition; the state has all. */
  | { readonly type: "variablesSet"; readonly variables: Variables }
  /** Say `farewell`, then hang up. `reason` is null at an end of the graph, and else says what failed. */
  | {
    readonly type: "end";
    readonly outcome: string;
    readonly reason: "too_many_calls" | "too_many_transitions" | null;
    readonly farewell: string;
  };

export interface Step {
  readonly state: WorkflowState;
  readonly actions: readonly WorkflowAction[];
}

/** A conversation at the start of its graph. `given` is what is known before the first word. */
export function begin(graph: Graph, given: Variables = {}): Step {
  const start = startOf(graph);
  const greeting = render(start.greeting, given);
  return {
    state: { node: start.id, variables: { ...given }, transitions: 0, turnCalls: 0, outcome: null },
    actions: [
      { type: "nodeEntered", node: start.id },
      ...(greeting === "" ? [] : [{ type: "say", text: greeting } as const]),
      { type: "listen" },
    ],
  };
}

/** Where the conversation stands once the caller has keyed a number that belongs to a variable. */
export function keyed(state: WorkflowState, variable: string, digits: string): WorkflowState {
  return { ...state, variables: { ...state.variables, [variable]: digits } };
}

/** What follows from an event. After the end nothing does, but every call still gets its answer. */
export function advance(graph: Graph, state: WorkflowState, event: WorkflowEvent): Step {
  switch (event.type) {
    case "callerSpoke":
      if (state.outcome !== null) return { state, actions: [] };
      return { state: { ...state, turnCalls: 0 }, actions: [{ type: "respond" }] };
    case "toolsCalled":
      return callTools(graph, state, event.calls);
  }
}

function callTools(graph: Graph, state: WorkflowState, calls: readonly ToolCall[]): Step {
  if (calls.length === 0) return { state, actions: [] };
  if (state.outcome !== null) return { state, actions: calls.map((call) => refuse(call, ENDED)) };

  const counted = { ...state, turnCalls: state.turnCalls + calls.length };
  if (counted.turnCalls > TURN_CALLS_MAX) return fail(graph, counted, calls, "too_many_calls");

  const actions: WorkflowAction[] = [];
  let isPressing = false;
  for (const [at, call] of calls.entries()) {
    const keys = keysToPress(graph, state, call);
    if (keys !== null) {
      isPressing = true;
      actions.push({ type: "answerTool", callId: call.id, output: PRESSED });
      actions.push({ type: "pressKeys", keys });
      continue;
    }
    const taken = tryEdge(graph, counted, call);
    if (taken.ok) {
      if (state.transitions >= CALL_TRANSITIONS_MAX) {
        const rest = fail(graph, counted, calls.slice(at), "too_many_transitions");
        return { state: rest.state, actions: [...actions, ...rest.actions] };
      }
      actions.push({ type: "answerTool", callId: call.id, output: DONE });
      actions.push(...calls.slice(at + 1).map((late) => refuse(late, MOVED_ON)));
      const entered = enter(graph, counted, taken.edge, taken.variables);
      return { state: entered.state, actions: [...actions, ...entered.actions] };
    }
    actions.push(refuse(call, taken.error));
  }
  // What answers is the machine behind the keys: the model hears it before it says more.
  const next = isPressing ? "listen" : "respond";
  return { state: counted, actions: [...actions, { type: next }] };
}

/** Null: it is another function, may not be called here, or names no keys. */
function keysToPress(graph: Graph, { node }: WorkflowState, call: ToolCall): string | null {
  if (call.name !== PRESS_KEYS || !mayPressKeys(graph, node)) return null;
  return keysOf(call.arguments);
}

type Taken =
  | { readonly ok: true; readonly edge: Edge; readonly variables: Variables }
  | { readonly ok: false; readonly error: string };

function tryEdge(graph: Graph, state: WorkflowState, call: ToolCall): Taken {
  const node = nodeOf(graph, state.node);
  const edges = graph.edges.filter((edge) => edge.from === node.id);
  if (call.name === PRESS_KEYS && mayPressKeys(graph, node.id)) {
    return { ok: false, error: NO_KEYS };
  }
  const edge = edges.find((edge) => edge.function === call.name);
  if (edge === undefined || node.type === "end") {
    const names = edges.map((edge) => `"${edge.function}"`).join(", ");
    return { ok: false, error: `There is no such function here, only ${names}.` };
  }
  const asked = askedVariables(graph, node, state.variables);
  const collected = collect(call.arguments, asked, {
    known: state.variables,
    needed: edge.needsVariables,
  });
  return collected.ok ? { ok: true, edge, variables: collected.variables } : collected;
}

function enter(graph: Graph, from: WorkflowState, edge: Edge, found: Variables): Step {
  const variables = { ...from.variables, ...found };
  const node = nodeOf(graph, edge.to);
  const actions: WorkflowAction[] = [];
  if (Object.keys(found).length > 0) actions.push({ type: "variablesSet", variables: found });
  actions.push({ type: "nodeEntered", node: node.id });
  const state = { ...from, node: node.id, variables, transitions: from.transitions + 1 };
  switch (node.type) {
    case "start":
    case "agent":
      return { state, actions: [...actions, { type: "respond" }] };
    case "end": {
      const { outcome } = node;
      const farewell = render(node.farewell, variables);
      return {
        state: { ...state, outcome },
        actions: [...actions, { type: "end", outcome, reason: null, farewell }],
      };
    }
  }
}

function fail(
  graph: Graph,
  state: WorkflowState,
  calls: readonly ToolCall[],
  reason: "too_many_calls" | "too_many_transitions",
): Step {
  const farewell = render(graph.failureSentence, state.variables);
  return {
    state: { ...state, outcome: "failed" },
    actions: [
      ...calls.map((call) => refuse(call, ENDED)),
      { type: "end", outcome: "failed", reason, farewell },
    ],
  };
}

const DONE = "Done. Go on with your new task, without a word about this function.";
/** The answer of a call of `press_keys`: the model is not asked again before somebody speaks. */
export const PRESSED = "Pressed. What is heard next comes from there.";
const NO_KEYS = `"digits" must be 1 to ${KEYS_MAX} of 0 to 9, A to D, *, # and w.`;
const ENDED = "The conversation has ended.";
const MOVED_ON = "The conversation has moved on by another function of the same reply.";

function refuse(call: ToolCall, error: string): WorkflowAction {
  return { type: "answerTool", callId: call.id, output: `Error: ${error}` };
}
