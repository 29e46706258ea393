/** What interrupts the agent, what does not, and how it goes on when nothing did. */

import assert from "node:assert/strict";
import { FALSE_START_MS } from "@/actors/call/turns.ts";
import type { Sense } from "@/lib/speech/sense.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { newStage, type Stage, SYNTHESIS_MS, WORD_MS } from "@/tests/support/dialogue_stage.ts";

const REPLY = "We are open from nine to five.";
const LONG_REPLY = `${REPLY} On Saturdays we are open from ten to two. On Sundays we are closed.`;

function senseOf(text: string): Sense {
  return /^mm-hm\.?$/i.test(text)
    ? "backchannel"
    : /^(stop|wait)\.?$/i.test(text)
    ? "stop"
    : "words";
}

/** A call in which the agent has said so many words of its reply. */
function speaking(words: number, options: { reply?: string; bargeInWords?: number } = {}): Stage {
  const { reply = REPLY, bargeInWords = 1 } = options;
  const bargeIn = { isAllowed: true, words: bargeInWords, speechMs: 0, bySound: true };
  const stage = newStage(clinic, { senseOf, rules: { bargeIn: { ...bargeIn, speechMs: 300 } } });
  stage.regainLeg();
  stage.listen();
  stage.say("Hello.");
  stage.answer(reply);
  stage.advance(SYNTHESIS_MS + words * WORD_MS);
  return stage;
}

function floor(stage: Stage): string {
  return stage.dialogue.turn.floor;
}

function agentSaid(stage: Stage): string[] {
  return stage.events.flatMap((it) => it.type === "agent_said" ? [it.text] : []).slice(1);
}

Deno.test("a sign of listening interrupts nothing, is answered by nothing, and is on record", () => {
  const stage = speaking(2, { reply: LONG_REPLY });
  stage.interim("mm-hm");
  stage.final("Mm-hm.");
  stage.utteranceEnded();
  stage.advance(4 * WORD_MS);
  assert.equal(floor(stage), "agent");
  stage.listen();
  stage.advance(1_500);
  assert.deepEqual(agentSaid(stage), [LONG_REPLY]);
  assert.deepEqual(stage.events.filter((it) => it.type === "caller_signalled"), [
    { type: "caller_signalled", text: "Mm-hm." },
  ]);
  assert.equal(stage.prompts.length, 1);
});

Deno.test("a sign of listening right before the agent has spoken is an answer", () => {
  const stage = speaking(6);
  stage.final("Mm-hm.");
  stage.utteranceEnded();
  stage.listen();
  assert.equal(floor(stage), "thinking");
  assert.deepEqual(stage.prompts.at(-1)?.messages.at(-1), { role: "caller", text: "Mm-hm." });
});

Deno.test("a stop phrase interrupts at once, however many words it would take else", () => {
  const stage = speaking(2, { bargeInWords: 3 });
  stage.interim("no it");
  assert.equal(floor(stage), "agent");
  stage.interim("wait");
  assert.equal(floor(stage), "caller");
});

Deno.test("a sound that lasts interrupts; when no word comes of it, the agent goes on where it was", () => {
  const stage = speaking(2);
  stage.tell({ type: "sounded", forMs: 200 });
  assert.equal(floor(stage), "agent");
  stage.tell({ type: "sounded", forMs: 300 });
  assert.equal(floor(stage), "caller");
  stage.advance(FALSE_START_MS);
  assert.equal(floor(stage), "agent");
  stage.listen();
  assert.deepEqual(agentSaid(stage), ["We are", "open from nine to five."]);
  assert.equal(stage.prompts.length, 1);
});

Deno.test("a sound over the first word of a call interrupts it as any other", () => {
  const stage = newStage(clinic, {
    rules: { bargeIn: { isAllowed: true, words: 1, speechMs: 0, bySound: true } },
  });
  stage.regainLeg();
  stage.advance(SYNTHESIS_MS + WORD_MS);
  stage.tell({ type: "sounded", forMs: 100 });
  assert.equal(stage.effects.at(-1)?.type, "silence");
});

Deno.test("while the agent must not be interrupted, the recogniser hears silence", () => {
  const graph: Graph = {
    ...clinic,
    nodes: clinic.nodes.map((it) => it.type === "start" ? { ...it, isInterruptible: false } : it),
  };
  const stage = newStage(graph, { senseOf });
  stage.regainLeg();
  assert.equal(stage.dialogue.isDeaf, true);
  stage.interim("stop"); // was under way
  assert.equal(floor(stage), "agent");
  stage.listen();
  assert.equal(stage.dialogue.isDeaf, false);
  assert.deepEqual(stage.events.filter(({ type }) => type === "agent_said").length, 1);
});

Deno.test("a caller who speaks before a greeting that waits is greeted behind their words", () => {
  const stage = newStage(clinic);
  stage.regainLeg({ greetsLater: true });
  stage.say("Hello?");
  assert.equal(floor(stage), "agent");
  stage.tell({ type: "greetingDue" }); // too late
  stage.listen();
  assert.deepEqual(
    stage.events.flatMap((it) =>
      it.type === "caller_said" || it.type === "agent_said" ? [it.text] : []
    ),
    ["Hello?", "Welcome to the clinic. How can I help?"],
  );
});
