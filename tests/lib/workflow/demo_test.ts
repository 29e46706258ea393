/** The demo agent, talked to in text by callers who help and callers who do not. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { systemClock } from "@/lib/clock.ts";
import { simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { demoAgent, demoCaller, exampleGraph } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { talk, type TextCall } from "@/tests/support/text_call.ts";

/** Turns of a caller who never helps: every slot of the demo is asked for at most twice. */
const CALLER_TURNS_MAX = 11;

function call(lines: Iterable<string>): Promise<TextCall> {
  const model = simulatedModel({ clock: systemClock, firstTokenMs: 0, tokenMs: 0 });
  return talk({ graph: demoAgent, model }, lines);
}

Deno.test("the demo agent is a valid graph as it stands", () => {
  assert.deepEqual(parseGraph(JSON.parse(JSON.stringify(demoAgent))), demoAgent);
});

Deno.test("the example of the API's reference is a valid graph, and can be talked to", async () => {
  const model = simulatedModel({ clock: systemClock, firstTokenMs: 0, tokenMs: 0 });
  const { turns, state } = await talk({ graph: parseGraph(exampleGraph), model }, ["A new tyre"]);
  assert.equal(turns.at(-1)?.text, "I have noted it. Goodbye!");
  assert.deepEqual([state.outcome, state.variables], ["noted", { wish: "A new tyre" }]);
});

Deno.test("the demo books an appointment in eleven turns", async () => {
  const { turns, state, actions } = await call(demoCaller);
  assert.deepEqual(turns.map(({ role, text }) => `${role}: ${text}`), [
    "agent: Bright Smile Dental, Nora speaking. How can I help you?",
    "caller: Hello, I have a toothache and would like to see a dentist.",
    "agent: I can help with that. What is your name, please?",
    "caller: My name is Maria Lopez.",
    "agent: Is this your first visit with us?",
    "caller: Yes, it is.",
    "agent: Thank you, Maria Lopez. Which day suits you?",
    "caller: Could you do Thursday?",
    "agent: And at what time?",
    "caller: Half past nine would be great.",
    "agent: You are booked for Thursday at half past nine, Maria Lopez. Goodbye!",
  ]);
  assert.equal(state.outcome, "booked");
  assert.deepEqual(state.variables, {
    reason: "Hello, I have a toothache and would like to see a dentist",
    patient: "Maria Lopez",
    firstVisit: true,
    day: "Thursday",
    time: "half past nine",
  });
  const nodes = actions.flatMap((action) => action.type === "nodeEntered" ? [action.node] : []);
  assert.deepEqual(nodes, ["welcome", "patient", "slot", "booked"]);
});

Deno.test("the demo fits 90 seconds at 15 characters a second and 1.5 seconds between turns", async () => {
  const { turns } = await call(demoCaller);
  const characters = turns.reduce((sum, turn) => sum + turn.text.length, 0);
  assert.ok(turns.length >= 6);
  assert.ok(characters / 15 + turns.length * 1.5 < 60, "with a third of the time to spare");
});

Deno.test("a caller who says all at once is asked only for what is missing", async () => {
  const { turns, state } = await call([
    "This is Jan de Vries, I need a check-up on Tuesday at 10:30.",
    "No, I have been with you before.",
  ]);
  assert.equal(state.outcome, "booked");
  assert.deepEqual(
    turns.filter((turn) => turn.role === "agent").map((turn) => turn.text).slice(1),
    [
      "Is this your first visit with us?",
      "You are booked for Tuesday at 10:30, Jan de Vries. Goodbye!",
    ],
  );
});

Deno.test("a caller who answers out of order is understood", async () => {
  const { state } = await call([
    "A broken tooth.",
    "Tomorrow would be best.",
    "Oh, my name is Ada Byron.",
    "Yes.",
    "At three o'clock.",
  ]);
  assert.equal(state.outcome, "booked");
  const { patient, day, time, firstVisit } = state.variables;
  assert.deepEqual({ patient, day, time, firstVisit }, {
    patient: "Ada Byron",
    day: "tomorrow",
    time: "three o'clock",
    firstVisit: true,
  });
});

Deno.test("a question is asked again once, and then the answer is taken as it is", async () => {
  const { turns, state } = await call(["Pain.", "what did you say?", "the boss", "sure", "9", "9"]);
  const questions = turns.filter((turn) => turn.text.includes("What is your name"));
  assert.equal(questions.length, 2);
  assert.ok(questions[1]?.text.startsWith("Sorry, I did not catch that."));
  assert.equal(state.variables.patient, "the boss");
});

Deno.test("any caller at all comes to the end within a bounded number of turns", async () => {
  const word = fc.constantFrom(
    ..."yes no nine Maria Monday since my name is at half past ? {{day}} 3".split(" "),
  );
  const line = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.array(word, { minLength: 1 }).map((w) => w.join(" ")),
  );
  const lines = fc.array(line, { minLength: CALLER_TURNS_MAX, maxLength: CALLER_TURNS_MAX });
  await fc.assert(
    fc.asyncProperty(lines, async (lines) => {
      const { state, actions } = await call(lines.map((line) => line.trim() === "" ? "um" : line));
      assert.equal(state.outcome, "booked");
      assert.equal(actions.filter((action) => action.type === "end").length, 1);
    }),
    { seed: 2, numRuns: 300 },
  );
});
