/** Replies made in advance: taken over as if made in time, or gone without a trace. */

import assert from "node:assert/strict";
import type { ToolCall } from "@/lib/providers/llm/llm.ts";
import type { Graph, TurnSettings } from "@/lib/workflow/graph.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { EAGER_MS, newStage, RETRYABLE, type Stage } from "@/tests/support/dialogue_stage.ts";

const next: ToolCall = { id: "call1", name: "next", arguments: "{}" };

function greeted(turns: Partial<TurnSettings> = {}): Stage {
  const graph: Graph = {
    ...clinic,
    turns: { ...clinic.turns, endpointing: "provider", isEager: true, ...turns },
  };
  const stage = newStage(graph);
  stage.regainLeg();
  stage.listen();
  return stage;
}

function effectsOf(stage: Stage): string[] {
  return stage.effects.map(({ type }) => type);
}

function said(stage: Stage): string[] {
  return stage.events.flatMap((it) =>
    it.type === "caller_said" || it.type === "agent_said" ? [it.text] : []
  );
}

Deno.test("a turn that was guessed right is answered by what was made meanwhile", () => {
  const stage = greeted();
  stage.eager("A check-up.", false);
  assert.deepEqual(stage.prompts.at(-1)?.messages.at(-1), { role: "caller", text: "A check-up." });
  stage.delta({ type: "text", text: "Gladly. What is your " });
  assert.deepEqual(effectsOf(stage).slice(-4), ["request", "begin", "text", "awaitToken"]);
  stage.advance(EAGER_MS - 1);
  assert.equal(stage.heard().at(-1), "", "nothing is played");
  assert.equal(stage.events.at(-1)?.type, "caller_began", "nothing of it is recorded");
  stage.advance(1);
  assert.equal(effectsOf(stage).at(-1), "release");
  stage.delta({ type: "text", text: "name?" });
  stage.ended();
  stage.listen();
  assert.deepEqual(said(stage).slice(1), ["A check-up.", "Gladly. What is your name?"]);
  assert.equal(stage.prompts.length, 1);
});

Deno.test("only the first clause is made before the turn is over", () => {
  const stage = greeted();
  stage.eager("A check-up.", false);
  stage.delta({ type: "text", text: "Gladly. What is your name? And when? " });
  const texts = (): number => effectsOf(stage).filter((type) => type === "text").length;
  assert.equal(texts(), 2); // the greeting, and one
  stage.advance(EAGER_MS);
  assert.equal(texts(), 4);
});

Deno.test("a caller who goes on never knows: nothing is recorded, played or acted on", () => {
  const stage = greeted();
  stage.eager("A check-up", true);
  stage.delta({ type: "text", text: "Gladly. What is your name? " });
  stage.delta({ type: "toolCall", call: next });
  stage.ended();
  const { entries, workflow } = stage.dialogue;
  stage.advance(EAGER_MS - 1);
  assert.equal(stage.dialogue.entries, entries);
  assert.equal(stage.dialogue.workflow, workflow);
  stage.advance(1);
  assert.deepEqual(effectsOf(stage).slice(-2), ["discard", "request"]);
  assert.equal(effectsOf(stage).includes("silence"), false, "there was nothing to clear");
  stage.answer("On Monday?");
  stage.listen();
  assert.deepEqual(said(stage).slice(1), ["A check-up and more", "On Monday?"]);
  assert.equal(stage.dialogue.workflow.node, "welcome");
});

Deno.test("what a model calls waits until the turn is over, and is done once", () => {
  const stage = greeted();
  stage.eager("A check-up.", false);
  stage.delta({ type: "toolCall", call: next });
  stage.ended();
  assert.equal(stage.dialogue.workflow.node, "welcome");
  stage.advance(EAGER_MS);
  assert.equal(stage.dialogue.workflow.node, "name");
  assert.equal(stage.events.filter(({ type }) => type === "tool_called").length, 1);
  assert.equal(stage.prompts.length, 2);
});

Deno.test("what dropped replies cost is counted, and past the agent's limit no more are made", () => {
  const stage = greeted({ eagerTokensMax: 100 });
  stage.eager("A check-up", true);
  stage.delta({ type: "text", text: "x".repeat(400) });
  stage.advance(EAGER_MS);
  const { replies, tokens } = stage.dialogue.wasted;
  assert.equal(replies, 1);
  assert.ok(tokens > 100, `${tokens}`);
  stage.answer("Yes.");
  stage.listen();
  const prompts = stage.prompts.length;
  stage.eager("On Monday.", false);
  assert.equal(stage.prompts.length, prompts, "not in advance");
  stage.advance(EAGER_MS);
  assert.equal(stage.prompts.length, prompts + 1);
});

Deno.test("a reply that fails in advance is no failure: it is made when the turn is over", () => {
  const stage = greeted();
  stage.eager("A check-up.", false);
  stage.failed(RETRYABLE);
  stage.advance(EAGER_MS);
  assert.equal(stage.prompts.length, 2);
  assert.equal(stage.events.some(({ type }) => type === "failed"), false);
});

Deno.test("a turn whose final words differ from the guess gets a reply of its own", () => {
  const stage = greeted();
  stage.eager("A check-up.", false);
  stage.delta({ type: "text", text: "Gladly. " });
  stage.final("A check-up on Monday.");
  stage.utteranceEnded();
  assert.equal(stage.prompts.length, 2);
  assert.deepEqual(stage.prompts.at(-1)?.messages.at(-1), {
    role: "caller",
    text: "A check-up on Monday.",
  });
});

Deno.test("words of two turns that come behind both ends are not said twice", () => {
  const stage = greeted();
  for (const words of ["A check-up.", "On Monday."]) {
    stage.eager(words, false); // its final words come EAGER_MS later
    stage.utteranceEnded();
  }
  stage.advance(EAGER_MS);
  const told = stage.events.flatMap((it) => it.type === "caller_said" ? [it.text] : []);
  assert.deepEqual(told, ["A check-up.", "On Monday."]);
});

Deno.test("the parts of the gap sum to it when the reply was there before the turn was over", () => {
  const stage = greeted();
  stage.eager("A check-up.", false);
  stage.delta({ type: "text", text: "Gladly. " });
  stage.ended();
  stage.advance(EAGER_MS);
  stage.listen();
  const event = stage.events.findLast((it) => it.type === "agent_said");
  const parts = Object.values(event?.parts ?? {}).reduce((sum, ms) => sum + ms, 0);
  assert.equal(parts, event?.gapMs);
  assert.equal(event?.parts?.model, 0);
});

Deno.test("with its own silence to wait for, an eager agent begins before it is over", () => {
  const stage = greeted({ endpointing: "fixed", silenceMs: 600 });
  stage.interim("A check-up.");
  stage.final("A check-up.");
  stage.utteranceEnded(); // the recogniser's 200 ms
  assert.equal(stage.prompts.length, 1);
  assert.equal(stage.dialogue.turn.floor, "pause");
  stage.advance(399);
  assert.equal(stage.dialogue.turn.floor, "pause");
  stage.advance(1);
  assert.equal(stage.dialogue.turn.floor, "thinking");
  assert.equal(stage.prompts.length, 1);
});
