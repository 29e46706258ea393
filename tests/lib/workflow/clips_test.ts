/** Clips in an agent's texts: found wherever they are named, and replaced by their words. */

import assert from "node:assert/strict";
import { clipFaults, clipNames, withClips } from "@/lib/workflow/clips.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { checkGraph, type Graph, parseGraph } from "@/lib/workflow/graph.ts";
import { fixedSentences } from "@/lib/workflow/sentences.ts";

function agent(): Graph {
  const [start, ...nodes] = demoAgent.nodes;
  return parseGraph({
    ...demoAgent,
    idlePrompt: "{{ clip:still-there }} {{name}}?",
    nodes: [{ ...start, greeting: "{{clip:hello}} I am Ada. {{clip:hello}}" }, ...nodes],
  });
}

Deno.test("clips are found by their names, each once", () => {
  assert.deepEqual(clipNames(agent()).toSorted(), ["hello", "still-there"]);
  assert.deepEqual(clipNames(parseGraph(demoAgent)), []);
});

Deno.test("their words stand in their places, and variables stay", () => {
  const graph = withClips(agent(), [
    { name: "hello", text: "Welcome to $& Bikes." },
    { name: "still-there", text: "Are you there," },
  ]);
  assert.equal(graph.idlePrompt, "Are you there, {{name}}?");
  const [start] = graph.nodes;
  const greeting = "Welcome to $& Bikes. I am Ada. Welcome to $& Bikes.";
  assert.equal(start?.type === "start" && start.greeting, greeting);
  assert.ok(fixedSentences(graph).has(greeting));
  assert.ok(!fixedSentences(graph).has(graph.idlePrompt));
});

Deno.test("that of the room is among them, and is told where it is not known", () => {
  const graph = parseGraph({ ...demoAgent, ambient: { clip: "music" } });
  assert.deepEqual(clipNames(graph), ["music"]);
  assert.deepEqual(clipFaults(graph, new Set()), [
    { path: "ambient.clip", nodeId: null, message: 'There is no clip "music"' },
  ]);
  assert.deepEqual(clipFaults(graph, new Set(["music"])), []);
  assert.deepEqual(graph.ambient, { sound: null, clip: "music", volume: 0.3 });
});

for (
  const [ambient, path] of [
    [{}, "ambient.sound"],
    [{ sound: "office", clip: "music" }, "ambient.sound"],
    [{ sound: "beach" }, "ambient.sound"],
    [{ sound: "office", volume: 2 }, "ambient.volume"],
    [{ clip: "Music" }, "ambient.clip"],
  ] as const
) {
  Deno.test(`a room of ${JSON.stringify(ambient)} is refused at ${path}`, () => {
    assert.equal(checkGraph({ ...demoAgent, ambient }).faults[0]?.path, path);
  });
}

Deno.test("a text leg has no room", () => {
  const graph = { ...demoAgent, ambient: { sound: "office" }, relay: {} };
  assert.equal(checkGraph(graph).faults[0]?.path, "ambient");
});

Deno.test("one that is not known is told where it is named", () => {
  const faults = clipFaults(agent(), new Set(["still-there"]));
  assert.deepEqual(faults[0], {
    path: "nodes[0].greeting",
    nodeId: demoAgent.nodes[0]?.id ?? null,
    message: 'There is no clip "hello"',
  });
  assert.equal(faults.length, 2);
  assert.deepEqual(clipFaults(agent(), new Set(["hello", "still-there"])), []);
});
