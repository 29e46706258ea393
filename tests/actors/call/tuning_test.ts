/** What recogniser and voice are told at each node: the node's own words, then the agent's. */

import assert from "node:assert/strict";
import { hearingAt, voiceAt } from "@/actors/call/tuning.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import type { TranscribeOptions } from "@/lib/providers/stt/stt.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import type { SynthesisOptions } from "@/lib/providers/tts/tts.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const { nodes: [start, ...rest], ...agent } = demoAgent;
const own = { language: "es", voice: "v2", speed: 0.9, keyterms: ["muela"] };
const GRAPH = parseGraph({
  ...agent,
  language: "en",
  voice: "v1",
  speed: 1.1,
  keyterms: ["Brightsmile"],
  nodes: [start, ...rest.map((node) => node.type === "agent" ? { ...node, ...own } : node)],
});
const startId = start?.id ?? "";
const ownId = GRAPH.nodes.find(({ type }) => type === "agent")?.id ?? "";

Deno.test("a node's language, voice, speed and keyterms go before the agent's", () => {
  assert.deepEqual(voiceAt(GRAPH, startId), { voice: "v1", language: "en", speed: 1.1 });
  assert.deepEqual(voiceAt(GRAPH, ownId), { voice: "v2", language: "es", speed: 0.9 });
  assert.deepEqual(hearingAt(GRAPH, startId).keyterms, ["Brightsmile"]);
  assert.deepEqual(hearingAt(GRAPH, ownId).keyterms, ["muela", "Brightsmile"]);
  assert.equal(hearingAt(GRAPH, ownId).language, "es");
});

Deno.test("a recogniser judges for itself only where the agent leaves it to it, and guesses where it is eager", () => {
  const judged = (turns: object) => hearingAt(parseGraph({ ...GRAPH, turns }), startId).judgement;
  assert.equal(judged({}), undefined);
  const recogniser = { endThreshold: 0.8, endTimeoutMs: 3_000 };
  assert.deepEqual(judged({ endpointing: "provider", recogniser }), {
    ...recogniser,
    eagerThreshold: null,
  });
  assert.deepEqual(judged({ endpointing: "provider", isEager: true, recogniser }), {
    ...recogniser,
    eagerThreshold: 0.5,
  });
});

Deno.test("as a call moves from node to node, it is heard and spoken as each of them wants", async () => {
  const kit = actorKit();
  const { clock } = kit;
  const ears = simulatedStt({ clock });
  const mouth = simulatedTts({ clock });
  const heard: TranscribeOptions[] = [];
  const spoken: SynthesisOptions[] = [];
  const { connect, ends, close } = callKit({
    kit,
    graph: GRAPH,
    deps: {
      stt: {
        provider: "simulated",
        transcribe(audio, options, signal) {
          heard.push(options);
          return ears.transcribe(audio, options, signal);
        },
      },
      tts: {
        provider: "simulated",
        synthesize(text, options, signal) {
          spoken.push(options);
          return mouth.synthesize(text, options, signal);
        },
      },
    },
  });
  const stream = await connect();
  const caller = newCaller({ clock, stream, lines: demoCaller, hangUp: () => stream.stop() });
  await clock.advance(90_000);
  caller.stop();
  assert.deepEqual(spoken[0], { voice: "v1", language: "en", speed: 1.1, utterance: 1 });
  assert.ok(spoken.some(({ voice, language }) => voice === "v2" && language === "es"));
  assert.deepEqual(heard.map(({ language }) => language).slice(0, 2), ["en", "es"]);
  assert.deepEqual(heard[1]?.keyterms, ["muela", "Brightsmile"]);
  assert.equal(ends[0]?.outcome, "answered"); // and no word of the caller was lost by it
  assert.equal(ends[0]?.variables["patient"], "Maria Lopez");
  await close();
});
