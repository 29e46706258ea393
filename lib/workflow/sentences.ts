/** The sentences that an agent says as they are written. */

import { type Graph, languageOf } from "./graph.ts";
import { fillersOf, repeatOf, unheardOf } from "./phrases.ts";

/** Variables and clips in them are those of the graph. */
export function* sentencesOf(graph: Graph): Generator<string> {
  const { recording, answering, hooks, nodes } = graph;
  yield* [graph.idlePrompt, graph.idleFarewell, graph.timeUpSentence, graph.failureSentence];
  yield* graph.fillers ?? fillersOf(languageOf(graph));
  yield* unheardOf(languageOf(graph));
  yield repeatOf(languageOf(graph)) ?? "";
  if (recording !== null) {
    const { disclosure, question } = recording;
    yield* [disclosure, question, `${disclosure} ${question}`]; // the two are said in one breath
  }
  if (answering !== null) yield* [answering.message ?? "", answering.purpose ?? ""];
  for (const { do: action } of hooks) {
    if (action.type === "say") yield action.text;
    if (action.type === "transfer") yield action.sentence ?? "";
  }
  for (const node of nodes) {
    if (node.type === "start") yield node.greeting;
    if (node.type === "end") yield node.farewell;
  }
}

/** Those without variables: they are the same in every call. */
export function fixedSentences(graph: Graph): ReadonlySet<string> {
  return new Set([...sentencesOf(graph)].filter((text) => text !== "" && !text.includes("{{")));
}
