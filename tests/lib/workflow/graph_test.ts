/** What makes a graph valid: shapes, limits, and ways that lead on. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { begin } from "@/lib/workflow/engine.ts";
import { languageOf, parseGraph, withDefaults } from "@/lib/workflow/graph.ts";
import { promptFor } from "@/lib/workflow/prompt.ts";

const variable = { name: "day", type: "string", description: "The day." };
const start = { type: "start", id: "hello", greeting: "Hello.", instructions: "", variables: [] };
const agent = { type: "agent", id: "ask", instructions: "Ask.", variables: [variable] };
const end = { type: "end", id: "bye", farewell: "Goodbye.", outcome: "done" };
const go = { from: "hello", to: "ask", function: "go_on", condition: "Always." };
const stop = { from: "ask", to: "bye", function: "finish", condition: "The day is known." };
const base = {
  name: "Test",
  language: "en",
  persona: "",
  nodes: [start, agent, end],
  edges: [go, stop],
};

Deno.test("a graph gets its defaults", () => {
  const graph = parseGraph(base);
  assert.equal(graph.voice, null);
  assert.deepEqual(graph.keyterms, []);
  assert.deepEqual(graph.limits, { maxDurationMs: 600_000, idleMs: 10_000, idlePromptCount: 2 });
  assert.ok(graph.idlePrompt && graph.failureSentence);
  assert.deepEqual(graph.nodes[1], {
    ...agent,
    variables: [{ ...variable, ask: null, required: true }],
    isInterruptible: true,
    isSensitive: false,
    mayPressKeys: false,
    keyterms: [],
    keypad: {
      ...{ minDigits: 1, maxDigits: 32, terminator: "#", timeoutMs: 2_500 },
      ...{ variable: null, isMasked: false },
    },
    language: null,
    voice: null,
    speed: null,
  });
  assert.deepEqual([graph.providers, graph.model, graph.speed], [null, null, null]);
  assert.equal(graph.turns.endpointing, "fixed");
  assert.equal(graph.turns.silenceMs, 400);
  assert.equal(graph.fillers, null);
  assert.deepEqual(graph.edges[0], { ...go, needsVariables: true });
});

Deno.test("a graph whose carrier speaks for it is not recorded: there is no audio", () => {
  assert.equal(parseGraph({ ...base, relay: {} }).relay?.ttsProvider, null);
  assert.throws(() => parseGraph({ ...base, relay: {}, recording: {} }), {
    code: "invalid",
    field: "recording",
  });
});

Deno.test("a graph that was parsed is valid, and parses to itself", () => {
  const graph = parseGraph(base);
  assert.deepEqual(parseGraph(JSON.parse(JSON.stringify(graph))), graph);
});

Deno.test("what an agent says of voice and language counts, then its tenant's defaults, then English", () => {
  const { language: _, ...silent } = base;
  const defaults = { language: "de", voice: "v1" };
  const nothing = { language: null, voice: null };
  const rows: readonly [
    json: object,
    defaults: typeof nothing | typeof defaults,
    string,
    string?,
  ][] = [
    [{ ...base, voice: "own" }, defaults, "en", "own"],
    [{ ...silent, language: null }, defaults, "de", "v1"],
    [silent, defaults, "de", "v1"],
    [silent, nothing, "en"],
  ];
  for (const [json, said, language, voice = null] of rows) {
    const graph = withDefaults(parseGraph(json), said);
    assert.deepEqual([languageOf(graph), graph.voice], [language, voice]);
    const { system } = promptFor(graph, begin(graph).state);
    assert.ok(system.includes(`spoken in the language "${language}"`), system);
  }
});

const withVariable = (change: object): object => ({
  ...base,
  nodes: [start, { ...agent, variables: [{ ...variable, ...change }] }, end],
});
const withKeypad = (keypad: object, change: object = {}): object => ({
  ...base,
  nodes: [start, { ...agent, variables: [{ ...variable, ...change }], keypad }, end],
});
const withEdge = (change: object): object => ({ ...base, edges: [go, { ...stop, ...change }] });

const FAULTS: readonly (readonly [string, unknown, string])[] = [
  ["is no object", "graph", ""],
  ["has no name", { ...base, name: " " }, "name"],
  ["has a field too many", { ...base, colour: "red" }, "colour"],
  ["has a field too many deep inside", withVariable({ hint: "x" }), "nodes[1].variables[0].hint"],
  ["has a language that is none", { ...base, language: "English, please" }, "language"],
  ["has a call without end", { ...base, limits: { maxDurationMs: 1e9 } }, "limits.maxDurationMs"],
  ["has a prompt too long", { ...base, persona: "x".repeat(20_001) }, "persona"],
  ["has a keyterm too long", { ...base, keyterms: ["a", "b".repeat(101)] }, "keyterms[1]"],
  ["has no nodes", { ...base, nodes: [], edges: [] }, "nodes"],
  ["has too many nodes", { ...base, nodes: Array(101).fill(end) }, "nodes"],
  [
    "has a node of no type",
    { ...base, nodes: [start, { ...agent, type: "x" }, end] },
    "nodes[1].type",
  ],
  [
    "has a node with a bad id",
    { ...base, nodes: [start, { ...agent, id: "a b" }, end] },
    "nodes[1].id",
  ],
  ["has an id twice", { ...base, nodes: [start, agent, end, end] }, "nodes[3].id"],
  ["has no start", { ...base, nodes: [{ ...agent, id: "hello" }, agent, end] }, "nodes"],
  ["has two starts", { ...base, nodes: [start, agent, end, { ...start, id: "hi" }] }, "nodes[3]"],
  [
    "has no end",
    { ...base, nodes: [start, agent], edges: [go, { ...stop, to: "ask" }] },
    "nodes[0]",
  ],
  [
    "has an empty farewell",
    { ...base, nodes: [start, agent, { ...end, farewell: "" }] },
    "nodes[2].farewell",
  ],
  [
    "has a number keyed into no variable of its node",
    withKeypad({ variable: "other" }),
    "nodes[1].keypad.variable",
  ],
  [
    "has a number keyed into a variable that would lose its zeros",
    withKeypad({ variable: variable.name }, { type: "number" }),
    "nodes[1].keypad.variable",
  ],
  [
    "has a number that neither model nor variable gets",
    withKeypad({ isMasked: true }),
    "nodes[1].keypad.isMasked",
  ],
  ["has a variable without a name", withVariable({ name: "" }), "nodes[1].variables[0].name"],
  [
    "has a variable named __proto__",
    withVariable({ name: "__proto__" }),
    "nodes[1].variables[0].name",
  ],
  ["has a variable of no type", withVariable({ type: "date" }), "nodes[1].variables[0].type"],
  ["has a choice without options", withVariable({ type: "enum" }), "nodes[1].variables[0].options"],
  ["has options on a string", withVariable({ options: ["a"] }), "nodes[1].variables[0].options"],
  [
    "has a variable twice",
    { ...base, nodes: [start, { ...agent, variables: [variable, variable] }, end] },
    "nodes[1].variables[1].name",
  ],
  [
    "has a variable of two types",
    { ...base, nodes: [{ ...start, variables: [{ ...variable, type: "number" }] }, agent, end] },
    "nodes[1].variables[0].type",
  ],
  ["has an edge from nowhere", withEdge({ from: "x" }), "edges[1].from"],
  ["has an edge to nowhere", withEdge({ to: "x" }), "edges[1].to"],
  [
    "has an edge from an end",
    { ...base, edges: [go, stop, { ...stop, from: "bye" }] },
    "edges[2].from",
  ],
  ["has an edge to its start", {
    ...base,
    edges: [go, stop, { ...stop, function: "again", to: "hello" }],
  }, "edges[2].to"],
  [
    "has a function twice at a node",
    { ...base, edges: [go, stop, { ...stop, to: "ask" }] },
    "edges[2].function",
  ],
  [
    "has a function that no model could call",
    withEdge({ function: "hang up!" }),
    "edges[1].function",
  ],
  [
    "has a function with too long a name",
    withEdge({ function: "x".repeat(65) }),
    "edges[1].function",
  ],
  ["has a function without a condition", withEdge({ condition: "" }), "edges[1].condition"],
  ["has a node that nothing leads to", {
    ...base,
    nodes: [...base.nodes, { ...end, id: "island" }],
  }, "nodes[3]"],
  [
    "has a node that never comes to an end",
    {
      ...base,
      nodes: [...base.nodes, { ...agent, id: "trap" }],
      edges: [go, stop, { ...stop, function: "lose", to: "trap" }, {
        ...go,
        from: "trap",
        to: "trap",
      }],
    },
    "nodes[3]",
  ],
];

for (const [what, json, field] of FAULTS) {
  Deno.test(`a graph is refused at "${field}" when it ${what}`, () => {
    assert.throws(() => parseGraph(json), { name: "AppError", code: "invalid", field });
  });
}

Deno.test("whatever is parsed, it is a graph or an AppError that names a field", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(base)), (json, key) => {
      for (const value of [json, { ...base, [key]: json }]) {
        try {
          parseGraph(value);
        } catch (error) {
          assert.equal(error instanceof Error && error.name, "AppError");
        }
      }
    }),
    { seed: 2, numRuns: 500 },
  );
});
