/** The limits of a call: how long it lasts, how long silence does, and who may end it. */

import assert from "node:assert/strict";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { type Graph, type GraphLimits, parseGraph } from "@/lib/workflow/graph.ts";
import { callKit, type CallKitOptions } from "@/tests/support/call_kit.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";

const DEMO = parseGraph(demoAgent);
const TIME_UP = DEMO.timeUpSentence;
const PROMPT = DEMO.idlePrompt;

function limited(limits: Partial<GraphLimits>): Graph {
  return parseGraph({ ...demoAgent, limits: { ...demoAgent.limits, ...limits } });
}

async function setUp(options: CallKitOptions) {
  const call = callKit(options);
  const stream = await call.connect();
  return {
    ...call,
    clock: call.kit.clock,
    stream,
    heard: () => playedWords(stream).map(({ text }) => text).join(" "),
    endOf: () => call.ends.map(({ outcome, reason }) => `${outcome} ${reason}`),
    wrong() {
      const said = call.events.filter((event) => event.type === "agent_said");
      const { extra, missing } = compareHeard(said, playedWords(stream), []);
      return { extra, missing };
    },
  };
}

const NONE = { extra: [], missing: [] };

Deno.test("a call that lasts too long is ended with a sentence", async () => {
  const call = await setUp({ graph: limited({ maxDurationMs: 10_000, idleMs: 60_000 }) });
  await call.clock.advance(9_999);
  assert.ok(!call.heard().includes("sorry"));
  await call.clock.advance(10_000);
  assert.ok(call.heard().endsWith(TIME_UP));
  assert.deepEqual(call.endOf(), ["answered max_duration"]);
  assert.equal(call.hangUps.length, 1);
  assert.deepEqual(call.wrong(), NONE);
  await call.close();
});

Deno.test("a call that lasts too long is ended while the agent speaks, in the middle of a word", async () => {
  const call = await setUp({
    graph: parseGraph({
      ...demoAgent,
      limits: { ...demoAgent.limits, maxDurationMs: 10_000 },
      nodes: demoAgent.nodes.map((node) =>
        node.type === "start" ? { ...node, greeting: Array(60).fill("longer").join(" ") } : node
      ),
    }),
  });
  await call.clock.advance(20_000);
  assert.ok(call.heard().endsWith(TIME_UP));
  assert.deepEqual(call.endOf(), ["answered max_duration"]);
  assert.deepEqual(call.wrong(), NONE);
  await call.close();
});

Deno.test("a call whose time is over between two streams is hung up", async () => {
  const call = await setUp({ graph: limited({ maxDurationMs: 10_000 }) });
  await call.clock.advance(9_000);
  call.stream.drop();
  await call.clock.advance(1_000);
  assert.deepEqual(call.endOf(), ["answered max_duration"]);
  assert.equal(call.hangUps.length, 1);
  await call.close();
});

Deno.test("time does not begin anew with another stream", async () => {
  const call = await setUp({ graph: limited({ maxDurationMs: 20_000, idleMs: 60_000 }) });
  await call.clock.advance(15_000);
  call.stream.drop();
  const stream = await call.reconnect();
  await call.clock.advance(12_000);
  assert.ok(playedWords(stream).map(({ text }) => text).join(" ").endsWith(TIME_UP));
  assert.deepEqual(call.endOf(), ["answered max_duration"]);
  await call.close();
});

Deno.test("a caller who says nothing is asked twice, then told goodbye and hung up on", async () => {
  const call = await setUp({});
  await call.clock.advance(60_000);
  const { greeting } = DEMO.nodes.find((node) => node.type === "start") ?? assert.fail();
  assert.equal(call.heard(), `${greeting} ${PROMPT} ${PROMPT} ${DEMO.idleFarewell}`);
  assert.deepEqual(call.endOf(), ["answered caller_silent"]);
  assert.equal(call.hangUps.length, 1);
  assert.deepEqual(call.wrong(), NONE);
  await call.close();
});

Deno.test("words heard while the carrier is hanging up are in the transcript", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const call = await setUp({
    deps: {
      carrier: {
        provider: "test",
        placeCall: () => Promise.reject(new Error("not asked for")),
        hangUp: () => promise,
      },
    },
  });
  await call.clock.advance(1_000);
  call.call.send({ type: "hangUp" });
  await call.clock.advance(1_500); // the carrier takes its time
  call.stream.stop();
  resolve();
  await call.clock.settle();
  assert.ok(playedWords(call.stream).length >= 4);
  assert.deepEqual(call.endOf(), ["answered stopped"]);
  assert.deepEqual(call.wrong(), NONE);
  await call.close();
});

Deno.test("a carrier that returns no mark is not spoken to for ever", async () => {
  const call = await setUp({ faults: { lateMarksMs: null } });
  await call.clock.advance(120_000);
  assert.deepEqual(call.endOf(), ["answered caller_silent"]);
  assert.ok(call.events.some((event) => event.type === "failed" && event.part === "speaker"));
  await call.close();
});
