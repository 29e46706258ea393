/** A small agent for tests of a call: two nodes that talk, one variable, one end. */

import { type Graph, parseGraph } from "@/lib/workflow/graph.ts";

export const clinic: Graph = parseGraph({
  name: "Clinic",
  language: "en",
  persona: "You are at the reception.",
  idlePrompt: "Are you there?",
  failureSentence: "I am sorry.",
  limits: { idleMs: 8_000, idlePromptCount: 1 },
  nodes: [
    {
      type: "start",
      id: "welcome",
      greeting: "Welcome to the clinic. How can I help?",
      instructions: "Find out what the caller wants.",
    },
    {
      type: "agent",
      id: "name",
      instructions: "Ask for the name.",
      variables: [{ name: "name", type: "string", description: "The caller's name." }],
    },
    { type: "end", id: "done", farewell: "All done, {{name}}. Goodbye!", outcome: "done" },
  ],
  edges: [
    { from: "welcome", to: "name", function: "next", condition: "The caller has said what." },
    { from: "name", to: "done", function: "finish", condition: "The name is known." },
  ],
});
