/** The sentences of an agent: those it says as they are written, and where they stand. */

import { type Graph, languageOf, type Node } from "./graph.ts";
import type { HookAction } from "./hooks.ts";
import { fillersOf, unheardOf } from "./phrases.ts";

type Change = (text: string) => string;

/** The agent with each of its sentences changed. */
export function mapSentences(graph: Graph, change: Change): Graph {
  const { fillers, recording, answering } = graph;
  const maybe = (text: string | null): string | null => text === null ? null : change(text);
  return {
    ...graph,
    idlePrompt: change(graph.idlePrompt),
    idleFarewell: change(graph.idleFarewell),
    timeUpSentence: change(graph.timeUpSentence),
    failureSentence: change(graph.failureSentence),
    fillers: fillers === null ? null : fillers.map(change),
    recording: recording === null ? null : {
      ...recording,
      disclosure: change(recording.disclosure),
      question: change(recording.question),
    },
    answering: answering === null ? null : {
      ...answering,
      message: maybe(answering.message),
      purpose: maybe(answering.purpose),
    },
    hooks: graph.hooks.map((hook) => ({ ...hook, do: mapAction(hook.do, change) })),
    nodes: graph.nodes.map((node) => mapNode(node, change)),
  };
}

function mapAction(action: HookAction, change: Change): HookAction {
  switch (action.type) {
    case "say":
      return { ...action, text: change(action.text) };
    case "transfer":
      return { ...action, sentence: action.sentence === null ? null : change(action.sentence) };
    case "addContext":
    case "hangUp":
      return action;
  }
}

function mapNode(node: Node, change: Change): Node {
  switch (node.type) {
    case "start":
      return { ...node, greeting: change(node.greeting) };
    case "end":
      return { ...node, farewell: change(node.farewell) };
    case "agent":
      return node;
  }
}

/** What the agent may say in these very words: its sentences without variables, and those of the house. */
export function fixedSentences(graph: Graph): ReadonlySet<string> {
  const found = new Set([...fillersOf(languageOf(graph)), ...unheardOf(languageOf(graph))]);
  mapSentences(graph, (text) => {
    if (text !== "" && !text.includes("{{")) found.add(text);
    return text;
  });
  if (graph.recording !== null) { // said in one breath
    const { disclosure, question } = graph.recording;
    const both = `${disclosure} ${question}`;
    if (!both.includes("{{")) found.add(both);
  }
  return found;
}
