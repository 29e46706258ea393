/** A model that stalls within a clause: the caller hears what there is, and the rest when it comes. */

import assert from "node:assert/strict";
import { STALL_MS } from "@/actors/call/clauses.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import type { ScriptedReply } from "@/lib/providers/llm/simulated.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { callKit } from "@/tests/support/call_kit.ts";

/** Its tokens have six letters at the most. */
const ANSWER =
  "I can look that up for you this very moment. It will not take long at all. Bear with me.";

/** What the caller heard behind the greeting, and the silence before it. */
async function answered(reply: Omit<ScriptedReply, "text">, turns: object = {}) {
  const it = callKit({
    script: [{ text: ANSWER, ...reply }],
    graph: parseGraph({ ...demoAgent, turns: { fillerMs: null, ...turns } }),
  });
  const stream = await it.connect();
  const { clock } = it.kit;
  await clock.advance(6_000);
  const before = heardWords(stream.player.played()).length;
  const { audio } = speak("I have a toothache");
  void stream.say(audio);
  await clock.advance(audio.length / BYTES_PER_MS + 25_000);
  const heard = heardWords(stream.player.played()).slice(before);
  const said = it.events.filter((event) => event.type === "agent_said");
  await it.close();
  const words = ANSWER.split(" ").length;
  return {
    heard: heard.slice(0, words).map(({ text }) => text).join(" "),
    said: said[1]?.text,
    gapMs: said[1]?.gapMs ?? NaN,
  };
}

Deno.test("a stall in the first clause is not heard as silence: the gap grows by no more than the wait for a token", async () => {
  const smooth = await answered({});
  assert.equal(smooth.heard, ANSWER);
  for (const stallMs of [1_000, 3_000]) {
    const stalled = await answered({ stalls: { 6: stallMs } });
    assert.equal(stalled.heard, ANSWER, "no word twice, none missing");
    assert.equal(stalled.said, ANSWER);
    const added = stalled.gapMs - smooth.gapMs;
    assert.ok(added <= STALL_MS, `${added} ms more`);
  }
});

Deno.test("a stall that is shorter than the wait for a token changes nothing", async () => {
  const smooth = await answered({});
  const halted = await answered({ stalls: { 6: STALL_MS - 100 } });
  assert.equal(halted.heard, ANSWER);
  assert.ok(halted.gapMs - smooth.gapMs <= STALL_MS - 100);
});

Deno.test("a stall in a later clause is bridged by it once the agent has fallen silent, and at every such stall", async () => {
  const stalled = await answered({ stalls: { 16: 2_500, 20: 3_000, 24: 3_000 } });
  assert.equal(stalled.heard, ANSWER);
  assert.equal(stalled.said, ANSWER);
});

Deno.test("a reply that is made in advance stalls as any other", async () => {
  const eager = { isEager: true, silenceMs: 600 };
  const smooth = await answered({}, eager);
  const stalled = await answered({ stalls: { 6: 2_000 } }, eager);
  assert.equal(stalled.heard, ANSWER);
  assert.ok(stalled.gapMs - smooth.gapMs <= STALL_MS, `${stalled.gapMs} ${smooth.gapMs}`);
});
