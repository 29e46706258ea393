/** How the calls of a number are held, whatever its agent says. */

import assert from "node:assert/strict";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { onLeg } from "@/lib/workflow/leg.ts";

const plain = parseGraph({ ...demoAgent, voice: "one-of-ours" });
const relay = { ttsProvider: "Google", transcriptionProvider: null, speechModel: null } as const;
const relayed = { ...plain, relay, voice: "one-of-theirs" };

Deno.test("a number that says nothing leaves it to the agent", () => {
  assert.equal(onLeg(plain, null), plain);
  assert.equal(onLeg(relayed, null), relayed);
});

Deno.test("a number on a stream has the agent of a relay on one", () => {
  assert.deepEqual(onLeg(relayed, "stream"), { ...relayed, relay: null });
});

Deno.test("a number on a relay leaves one of the agent as it is, and else speaks with the carrier's voice", () => {
  assert.equal(onLeg(relayed, "relay"), relayed);
  const { relay, voice } = onLeg(plain, "relay");
  assert.deepEqual(relay, { ttsProvider: null, transcriptionProvider: null, speechModel: null });
  assert.equal(voice, null);
});

Deno.test("an agent that records stays on a stream", () => {
  const recorded = parseGraph({
    ...demoAgent,
    recording: { disclosure: "This call is recorded." },
  });
  assert.equal(onLeg(recorded, "relay"), recorded);
});
