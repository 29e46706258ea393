/** Live control of a dialogue: what is given to be said, to be known, and to be silent about. */

import assert from "node:assert/strict";
import { clinic } from "@/tests/support/clinic.ts";
import { newStage, type Stage, SYNTHESIS_MS, WORD_MS } from "@/tests/support/dialogue_stage.ts";

function greeted(): Stage {
  const stage = newStage(clinic);
  stage.regainLeg();
  stage.listen();
  return stage;
}

function said(stage: Stage): string[] {
  return stage.events.flatMap((it) =>
    it.type === "caller_said" ? [`> ${it.text}`] : it.type === "agent_said" ? [it.text] : []
  ).slice(1);
}

Deno.test("a sentence that is given is said at once on a quiet line, and the caller has the floor behind it", () => {
  const stage = greeted();
  stage.tell({ type: "say", sentence: "A doctor is on the way.", interrupts: false });
  stage.listen();
  assert.deepEqual(said(stage), ["A doctor is on the way."]);
  assert.equal(stage.dialogue.turn.floor, "quiet");
  assert.equal(stage.prompts.length, 0);
});

Deno.test("a sentence that is given while the agent speaks waits, or takes its place", () => {
  for (const interrupts of [false, true]) {
    const stage = greeted();
    stage.say("Hello.");
    stage.answer("We are open all day.");
    stage.advance(SYNTHESIS_MS + 2 * WORD_MS);
    stage.tell({ type: "say", sentence: "One moment.", interrupts });
    stage.listen();
    stage.listen();
    assert.deepEqual(
      said(stage).slice(1),
      interrupts ? ["We are", "One moment."] : ["We are open all day.", "One moment."],
    );
  }
});

Deno.test("a sentence that is given while the caller speaks waits for their turn, and stands before the answer", () => {
  const stage = greeted();
  stage.interim("when");
  stage.tell({ type: "say", sentence: "One moment.", interrupts: true });
  assert.equal(stage.dialogue.turn.floor, "caller");
  stage.final("When?");
  stage.utteranceEnded();
  stage.answer("At nine.");
  stage.listen();
  assert.deepEqual(said(stage), ["> When?", "One moment. At nine."]);
});

Deno.test("what the agent is told stands in its next prompts, and nowhere in the transcript", () => {
  const stage = greeted();
  stage.tell({ type: "note", text: "The caller is a member since 2011." });
  stage.say("Hello.");
  assert.match(stage.prompts.at(-1)?.system ?? "", /- The caller is a member since 2011\.$/);
  assert.deepEqual(said(stage), ["> Hello."]);
});

Deno.test("an agent that is muted listens, keeps the record, and says only what it is given", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("We are open all day.");
  stage.advance(SYNTHESIS_MS + 2 * WORD_MS);
  stage.tell({ type: "mute", isMuted: true });
  stage.advance(100);
  stage.say("Are you there?");
  assert.equal(stage.dialogue.turn.floor, "quiet");
  assert.equal(stage.prompts.length, 1);
  stage.tell({ type: "say", sentence: "I am Ada, I take over.", interrupts: false });
  stage.listen();
  stage.advance(30_000); // nobody asks whether the caller is there
  assert.deepEqual(said(stage).slice(1), ["We are", "> Are you there?", "I am Ada, I take over."]);
  stage.say("Good.");
  stage.tell({ type: "mute", isMuted: false });
  assert.equal(stage.dialogue.turn.floor, "thinking", "what is owed is answered");
  stage.answer("Back again.");
  stage.listen();
  assert.equal(said(stage).at(-1), "Back again.");
});

Deno.test("a reply that is being made is dropped when the agent is muted", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.tell({ type: "mute", isMuted: true });
  assert.equal(stage.dialogue.turn.floor, "quiet");
  stage.answer("Too late.");
  stage.advance(5_000);
  assert.deepEqual(said(stage), ["> Hello."]);
});
