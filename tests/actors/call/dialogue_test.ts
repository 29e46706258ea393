/** Whole dialogues: what happens in, what is said, asked and recorded out. */

import assert from "node:assert/strict";
import type { CallEvent } from "@/actors/call/events.ts";
import { FALSE_START_MS, SPEECH_STALL_MS, UNHEARD_MS } from "@/actors/call/turns.ts";
import { fillersOf, unheardOf } from "@/lib/workflow/phrases.ts";
import type { PromptMessage, ToolCall } from "@/lib/providers/llm/llm.ts";
import { clinic } from "@/tests/support/clinic.ts";
import {
  newStage,
  REFUSED,
  RETRYABLE,
  type Stage,
  SYNTHESIS_MS,
  WORD_MS,
} from "@/tests/support/dialogue_stage.ts";

const FILLER_MS = clinic.turns.fillerMs ?? NaN;
const GREETING = "Welcome to the clinic. How can I help?";

/** A call whose greeting is being said. */
function ring(): Stage {
  const stage = newStage(clinic);
  stage.regainLeg();
  return stage;
}

/** A call whose greeting has been heard. */
function greeted(): Stage {
  const stage = ring();
  stage.listen();
  return stage;
}

/** Plays on until so many words of the current utterance have been heard. */
function hear(stage: Stage, words: number): void {
  stage.advance(SYNTHESIS_MS + words * WORD_MS);
}

function call(name: string, args: unknown = {}, id = name): ToolCall {
  return { id, name, arguments: JSON.stringify(args) };
}

function said(stage: Stage): (string | [string, string])[] {
  return stage.events.flatMap((event): (string | [string, string])[] => {
    if (event.type === "caller_said") return [`> ${event.text}`];
    if (event.type !== "agent_said") return [];
    return [event.bargedIn ? [event.text, event.unheard] : event.text];
  });
}

function eventsOf<T extends CallEvent["type"]>(
  stage: Stage,
  type: T,
): readonly Extract<CallEvent, { type: T }>[] {
  return stage.events.filter((event): event is Extract<CallEvent, { type: T }> =>
    event.type === type
  );
}

function effectsOf(stage: Stage): string[] {
  return stage.effects.map((effect) => effect.type);
}

function lastMessages(stage: Stage): readonly PromptMessage[] {
  return stage.prompts.at(-1)?.messages ?? [];
}

function floor(stage: Stage): string {
  return stage.dialogue.turn.floor;
}

Deno.test("a dialogue begins with the greeting, word for word, and then listens", () => {
  const stage = ring();
  assert.deepEqual(stage.effects, [
    { type: "begin", generation: 1, isHeld: false },
    { type: "text", generation: 1, text: GREETING },
    { type: "finish", generation: 1 },
  ]);
  assert.equal(floor(stage), "agent");
  stage.listen();
  assert.deepEqual(said(stage), [GREETING]);
  assert.equal(floor(stage), "quiet");
});

Deno.test("a dialogue answers a caller's turn, clause by clause, and records both", () => {
  const stage = greeted();
  stage.say("I have a toothache.");
  assert.equal(floor(stage), "thinking");
  assert.deepEqual(lastMessages(stage), [
    { role: "agent", text: GREETING },
    { role: "caller", text: "I have a toothache." },
  ]);
  stage.delta({ type: "text", text: "Oh, I am " });
  assert.equal(floor(stage), "thinking");
  stage.delta({ type: "text", text: "sorry, that hurts. What " });
  assert.deepEqual(stage.effects.slice(4), [
    { type: "begin", generation: 2, isHeld: false },
    { type: "text", generation: 2, text: "Oh, I am sorry," },
    { type: "text", generation: 2, text: "that hurts." },
  ]);
  assert.equal(floor(stage), "agent");
  stage.delta({ type: "text", text: "is your name?" });
  stage.ended();
  stage.listen();
  assert.deepEqual(said(stage), [
    GREETING,
    "> I have a toothache.",
    "Oh, I am sorry, that hurts. What is your name?",
  ]);
  assert.equal(floor(stage), "quiet");
});

Deno.test("a dialogue tells the gap that the caller heard, and its parts", () => {
  const stage = greeted();
  stage.final("Hello.");
  stage.advance(400);
  stage.utteranceEnded();
  stage.advance(200);
  stage.delta({ type: "text", text: "Hi" });
  stage.advance(50);
  stage.answer(".");
  stage.listen();
  const [greeting, reply] = eventsOf(stage, "agent_said");
  assert.equal(greeting?.gapMs, null);
  assert.equal(reply?.gapMs, 660);
  assert.deepEqual(reply?.parts, {
    endpointing: 400,
    model: 200,
    clause: 50,
    synthesis: SYNTHESIS_MS,
    playout: 0,
    carrier: 0,
    silence: 0,
  });
});

Deno.test("a dialogue joins the finals of one turn", () => {
  const stage = greeted();
  stage.final("I would like");
  stage.final("an appointment.");
  stage.utteranceEnded();
  assert.deepEqual(said(stage).at(-1), "> I would like an appointment.");
});

Deno.test("a function leads to the next node, and the reply goes on in the same breath", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("One moment.", call("next"));
  assert.equal(stage.dialogue.workflow.node, "name");
  assert.equal(stage.prompts.length, 2);
  assert.match(stage.prompts[1]?.system ?? "", /Ask for the name/);
  const [, , said1, called, output] = lastMessages(stage);
  assert.deepEqual(said1, { role: "agent", text: "One moment." });
  assert.deepEqual(called, { role: "toolCall", call: call("next") });
  assert.ok(output?.role === "toolOutput" && output.callId === "next");
  stage.answer("What is your name?");
  stage.listen();
  assert.deepEqual(said(stage).at(-1), "One moment. What is your name?");
  assert.equal(effectsOf(stage).filter((type) => type === "begin").length, 2);
  assert.equal(eventsOf(stage, "tool_called").length, 1);
  assert.equal(eventsOf(stage, "workflow_moved").at(-1)?.workflow.node, "name");
});

Deno.test("a function that is not there is answered with an error, and the model asked again", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("", call("nonsense"));
  assert.equal(stage.prompts.length, 2);
  assert.match(eventsOf(stage, "tool_called")[0]?.output ?? "", /^Error/);
});

Deno.test("several functions in one reply get one output each", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("", call("nonsense", {}, "a"), call("next", {}, "b"), call("next", {}, "c"));
  const outputs = lastMessages(stage).filter((it) => it.role === "toolOutput");
  assert.deepEqual(outputs.map((it) => it.callId), ["a", "b", "c"]);
});

Deno.test("an end says farewell, lets nobody barge in, and then hangs up", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("", call("next"));
  stage.answer("", call("finish", { name: "Maria" }));
  assert.equal(floor(stage), "closing");
  hear(stage, 1);
  stage.say("Wait, wait!");
  assert.equal(effectsOf(stage).includes("silence"), false);
  stage.listen();
  assert.deepEqual(said(stage).at(-1), "All done, Maria. Goodbye!");
  assert.deepEqual(stage.effects.at(-1), {
    type: "hangUp",
    ending: { outcome: "answered", reason: "agent_hung_up" },
    sentence: null,
  });
});

Deno.test("a barge-in silences the agent, and only what was heard stands in the next prompt", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("We are open from nine to five every day.");
  hear(stage, 4);
  stage.interim("stop");
  assert.deepEqual(stage.effects.at(-1), { type: "silence", generation: 2 });
  assert.equal(floor(stage), "caller");
  stage.advance(10);
  stage.final("Stop, please.");
  stage.utteranceEnded();
  assert.deepEqual(lastMessages(stage).slice(2), [
    { role: "agent", text: "We are open from" },
    { role: "caller", text: "Stop, please." },
  ]);
  assert.deepEqual(said(stage).slice(2), [
    ["We are open from", "nine to five every day."],
    "> Stop, please.",
  ]);
  assert.deepEqual(stage.heard(), [GREETING, "We are open from"]);
});

Deno.test("a barge-in silences at once, and words withdraw the reply: what the model still writes is not said", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.delta({ type: "text", text: "Good morning, this is the clinic. We " });
  hear(stage, 2);
  stage.interim("stop");
  assert.equal(effectsOf(stage).at(-1), "silence");
  stage.delta({ type: "text", text: "are " });
  stage.final("Stop.");
  assert.equal(effectsOf(stage).at(-1), "withdraw");
  const before = stage.effects.length;
  stage.delta({ type: "text", text: "open. " });
  stage.delta({ type: "toolCall", call: call("next") });
  stage.ended();
  stage.failed(RETRYABLE);
  assert.equal(stage.effects.length, before);
  assert.equal(stage.dialogue.workflow.node, "welcome");
});

Deno.test("a barge-in between a function and its reply leaves the function with its output", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("One moment please.", call("next"));
  hear(stage, 1);
  stage.interim("wait");
  stage.advance(10);
  stage.final("Wait.");
  stage.utteranceEnded();
  assert.deepEqual(lastMessages(stage).slice(2).map((it) => "text" in it ? it.text : it.role), [
    "One",
    "toolCall",
    "toolOutput",
    "Wait.",
  ]);
});

Deno.test("a carrier that does not answer a clear is not waited for", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("We are open all day.");
  hear(stage, 2);
  stage.interim("stop");
  stage.tell({ type: "settleDue", generation: 2 }); // before its marks
  stage.advance(600);
  assert.equal(eventsOf(stage, "agent_said").length, 2);
  assert.deepEqual(said(stage).at(-1), ["We are", "open all day."]);
});

Deno.test("a caller who goes on before the reply is heard gets one answer to both", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.interim("on");
  stage.delta({ type: "text", text: "Gladly. " }); // made on, and held back
  assert.equal(effectsOf(stage).at(-1), "request");
  stage.final("on Monday.");
  assert.equal(effectsOf(stage).at(-1), "withdraw");
  stage.utteranceEnded();
  assert.deepEqual(lastMessages(stage).slice(1), [
    { role: "caller", text: "A check-up." },
    { role: "caller", text: "on Monday." },
  ]);
});

Deno.test("a cough before the reply holds it back, and it is said all the same", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.interim("uh");
  stage.answer("Gladly.");
  assert.equal(floor(stage), "caller");
  assert.equal(effectsOf(stage).at(-1), "request");
  stage.utteranceEnded();
  assert.equal(stage.prompts.length, 1);
  assert.equal(floor(stage), "agent");
  stage.listen();
  assert.deepEqual(said(stage).slice(1), ["> A check-up.", "Gladly."]);
});

Deno.test("a cough over a reply of which nothing was heard has it said again", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("Gladly, of course.");
  stage.advance(5);
  stage.interim("uh");
  stage.advance(5);
  stage.utteranceEnded();
  stage.listen();
  assert.deepEqual(said(stage).slice(2), [["", "Gladly, of course."], "Gladly, of course."]);
  assert.equal(stage.prompts.length, 1);
});

Deno.test("a cough over the greeting lets it go on from the first word that was not heard", () => {
  const stage = ring();
  hear(stage, 2);
  stage.interim("uh");
  stage.advance(5);
  stage.utteranceEnded();
  assert.equal(floor(stage), "agent");
  stage.listen();
  assert.deepEqual(said(stage), [
    ["Welcome to", "the clinic. How can I help?"],
    "the clinic. How can I help?",
  ]);
  assert.equal(stage.prompts.length, 0);
});

Deno.test("a voice that comes to nothing over a reply being written lets both parts follow", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.delta({ type: "text", text: "We are open. From " });
  hear(stage, 1);
  stage.interim("uh");
  stage.answer("nine to five. ", call("next"));
  assert.equal(stage.dialogue.workflow.node, "welcome"); // what it called waits as well
  stage.advance(FALSE_START_MS);
  assert.equal(stage.dialogue.workflow.node, "name");
  stage.answer("Your name?");
  stage.listen();
  assert.deepEqual(said(stage).slice(2), [
    ["We", "are open."],
    "are open. From nine to five. Your name?",
  ]);
});

Deno.test("a voice that comes to nothing before the carrier has told what was heard is waited for", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("We are open all day.");
  hear(stage, 2);
  stage.interim("uh");
  stage.utteranceEnded(); // at once
  assert.equal(floor(stage), "quiet");
  stage.advance(10);
  assert.equal(floor(stage), "agent");
  stage.listen();
  assert.deepEqual(said(stage).slice(2), [["We are", "open all day."], "open all day."]);
});

Deno.test("a model that fails is asked once more, then the agent apologises and hangs up", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.failed(RETRYABLE);
  assert.equal(stage.prompts.length, 2);
  stage.failed(RETRYABLE);
  assert.equal(stage.prompts.length, 2);
  assert.equal(floor(stage), "closing");
  stage.listen();
  assert.equal(said(stage).at(-1), "I am sorry.");
  assert.deepEqual(stage.effects.at(-1), {
    type: "hangUp",
    ending: { outcome: "failed", reason: "provider_failed" },
    sentence: null,
  });
  assert.equal(eventsOf(stage, "failed").length, 2);
});

Deno.test("a model whose failure is final is not asked again", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.failed(REFUSED);
  assert.equal(stage.prompts.length, 1);
  assert.equal(floor(stage), "closing");
});

Deno.test("a model that crashed is asked once more", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.tell({ type: "modelLost" });
  stage.answer("Hi.");
  stage.listen();
  assert.equal(said(stage).at(-1), "Hi.");
});

Deno.test("a model that breaks off within a sentence ends the turn with what was said", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.delta({ type: "text", text: "Good morning. We are " });
  stage.failed(RETRYABLE);
  stage.listen();
  assert.equal(said(stage).at(-1), "Good morning.");
  assert.equal(stage.prompts.length, 1);
  assert.equal(floor(stage), "quiet");
});

Deno.test("a model that fails behind a function is asked once more, though its preamble was said", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("One moment.", call("next"));
  stage.failed(RETRYABLE);
  assert.equal(stage.prompts.length, 3);
  stage.answer("What is your name?");
  stage.listen();
  assert.equal(said(stage).at(-1), "One moment. What is your name?");
});

Deno.test("a model that does not answer in time leads to an apology", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.advance(FILLER_MS);
  assert.equal(floor(stage), "agent"); // bridging
  stage.advance(2 * SPEECH_STALL_MS + 2_000);
  assert.equal(floor(stage), "closing");
  assert.equal(effectsOf(stage).includes("withdraw"), true);
  stage.listen();
  const [first = "", second = ""] = fillersOf("en");
  assert.equal(said(stage).at(-1), `${first} ${second} I am sorry.`);
});

Deno.test("a model that never goes on behind a function leads to an apology", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("One moment.", call("next"));
  stage.advance(20_000);
  const [first = "", second = ""] = fillersOf("en");
  assert.equal(said(stage).at(-1), `One moment. ${first} ${second} I am sorry.`);
  assert.equal(stage.effects.at(-1)?.type, "hangUp");
});

Deno.test("a model without a word to say leaves the floor to the caller", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("");
  assert.equal(floor(stage), "quiet");
  assert.equal(stage.dialogue.reply, null);
});

Deno.test("what the synthesiser failed to say is said once more, behind what was heard", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("We are open all day.");
  stage.advance(2 * SYNTHESIS_MS);
  stage.failSynthesis(RETRYABLE);
  stage.listen();
  stage.listen();
  assert.deepEqual(said(stage).slice(2), ["We are", "open all day."]);
  assert.deepEqual(stage.heard().slice(1), ["We are", "open all day."]);
  assert.equal(floor(stage), "quiet");
});

Deno.test("a reply that is still written when its synthesis fails keeps its order", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.delta({ type: "text", text: "We are open all day. But " });
  stage.advance(2 * SYNTHESIS_MS);
  stage.failSynthesis(RETRYABLE);
  stage.delta({ type: "text", text: "not on Sunday. Or " });
  stage.advance(WORD_MS * 3);
  stage.answer("Monday.");
  stage.listen();
  assert.deepEqual(stage.heard().slice(1), [
    "We are",
    "open all day. But not on Sunday. Or Monday.",
  ]);
});

Deno.test("a model that breaks off when all it wrote has been heard leaves the floor to the caller", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.delta({ type: "text", text: "Good morning. We" });
  hear(stage, 1);
  stage.failSynthesis(RETRYABLE); // both words have their audio
  stage.listen();
  assert.equal(floor(stage), "thinking");
  stage.failed(RETRYABLE);
  assert.equal(floor(stage), "quiet");
});

Deno.test("last words come behind what the synthesiser is to say once more", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.delta({ type: "text", text: "That is fine. " });
  stage.advance(SYNTHESIS_MS);
  stage.failSynthesis(RETRYABLE);
  stage.answer("", call("next"));
  stage.answer("", call("finish", { name: "Maria" }));
  stage.listen();
  stage.listen();
  assert.deepEqual(stage.heard().slice(1), ["That", "is fine. All done, Maria. Goodbye!"]);
  assert.equal(stage.effects.at(-1)?.type, "hangUp");
});

Deno.test("a synthesiser that fails twice leaves the apology to the carrier's voice", () => {
  const stage = greeted();
  for (const text of ["Hello.", "Are you there?"]) {
    stage.say(text);
    stage.answer("We are open all day.");
    stage.advance(SYNTHESIS_MS);
    stage.failSynthesis(RETRYABLE);
    stage.listen();
    stage.listen();
  }
  assert.deepEqual(stage.effects.at(-1), {
    type: "hangUp",
    ending: { outcome: "failed", reason: "provider_failed" },
    sentence: "I am sorry.",
  });
});

Deno.test("a speaker that crashed goes on from the first word that was not heard", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("We are open from nine to five.");
  hear(stage, 3);
  stage.crashSpeaker();
  stage.listen();
  assert.deepEqual(said(stage).slice(2), [
    ["We are open", "from nine to five."],
    "from nine to five.",
  ]);
  assert.equal(floor(stage), "quiet");
});

Deno.test("a speaker that crashed while the model writes goes on with what it wrote since", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.delta({ type: "text", text: "We are open all day. But " });
  hear(stage, 2);
  stage.crashSpeaker();
  stage.answer("not on Sunday.");
  stage.listen();
  assert.deepEqual(stage.heard().slice(1), ["We are", "open all day. But not on Sunday."]);
});

Deno.test("a speaker that crashed within the farewell says the rest of it, and then hangs up", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("", call("next"));
  stage.answer("", call("finish", { name: "Maria" }));
  hear(stage, 2);
  stage.crashSpeaker();
  assert.equal(floor(stage), "closing");
  stage.listen();
  assert.deepEqual(stage.heard().slice(1), ["All done,", "Maria. Goodbye!"]);
  assert.equal(stage.effects.at(-1)?.type, "hangUp");
});

Deno.test("a silent caller is asked whether they are there, and after that hung up on", () => {
  const stage = greeted();
  stage.advance(clinic.limits.idleMs);
  stage.listen();
  assert.equal(said(stage).at(-1), "Are you there?");
  stage.advance(clinic.limits.idleMs + 10_000);
  assert.deepEqual(stage.effects.at(-1), {
    type: "hangUp",
    ending: { outcome: "answered", reason: "caller_silent" },
    sentence: null,
  });
});

Deno.test("a caller who answers the idle prompt is asked anew when silent again", () => {
  const stage = greeted();
  stage.advance(clinic.limits.idleMs);
  stage.listen();
  stage.say("Yes.");
  stage.answer("Good.");
  stage.listen();
  stage.advance(clinic.limits.idleMs);
  stage.listen();
  assert.equal(said(stage).at(-1), "Are you there?");
  assert.equal(stage.effects.some(({ type }) => type === "hangUp"), false);
});

Deno.test("a caller whom no recogniser hears is told so twice, then let go; once heard, it begins anew", () => {
  const [moment, again] = unheardOf("en");
  const stage = greeted();
  stage.tell({ type: "unheard" });
  stage.listen();
  assert.equal(said(stage).at(-1), moment);
  stage.advance(UNHEARD_MS);
  stage.listen();
  assert.equal(said(stage).at(-1), again);
  stage.say("Maria.");
  stage.answer("Good.");
  stage.tell({ type: "unheard" }); // over the agent
  stage.listen();
  stage.advance(UNHEARD_MS);
  stage.listen();
  assert.deepEqual(said(stage).slice(-2), ["Good.", moment]);
  stage.tell({ type: "unheard" });
  stage.listen();
  stage.tell({ type: "unheard" });
  stage.listen();
  assert.deepEqual(said(stage).slice(-2), [again, clinic.failureSentence]);
  const ending = { outcome: "failed", reason: "provider_failed" } as const;
  assert.deepEqual(stage.effects.at(-1), { type: "hangUp", ending, sentence: null });
});

Deno.test("in a language without a sentence for it a caller who is not heard is asked whether they are there", () => {
  const stage = newStage({ ...clinic, language: "fi" });
  stage.regainLeg();
  stage.listen();
  stage.tell({ type: "unheard" });
  stage.listen();
  assert.equal(said(stage).at(-1), clinic.idlePrompt);
});

Deno.test("a carrier that stops returning marks has the speech cut where it was last heard", () => {
  const stage = ring();
  hear(stage, 2);
  stage.tell({ type: "deadlinePassed" });
  stage.advance(10);
  assert.deepEqual(said(stage), [["Welcome to", "the clinic. How can I help?"]]);
  assert.equal(floor(stage), "quiet");
  assert.deepEqual(eventsOf(stage, "failed").map(({ part }) => part), ["speaker"]);
});

Deno.test("a voice that gives no sound is asked once more, and then the carrier apologises: the carrier is not blamed", () => {
  const stage = ring();
  stage.tell({ type: "deadlinePassed" });
  assert.equal(floor(stage), "agent");
  stage.listen();
  assert.deepEqual(said(stage).at(-1), GREETING);
  stage.say("Maria.");
  stage.answer("Good. ");
  stage.tell({ type: "deadlinePassed" });
  const ending = { outcome: "failed", reason: "provider_failed" } as const;
  const hangUp = { type: "hangUp", ending, sentence: clinic.failureSentence };
  assert.deepEqual(stage.effects.find(({ type }) => type === "hangUp"), hangUp);
  const messages = eventsOf(stage, "failed").map(({ message }) => message);
  assert.deepEqual(messages, Array(2).fill("Voice gave no sound in time"));
});

Deno.test("a call that must end says so over whoever speaks, and hangs up", () => {
  const stage = greeted();
  stage.final("I would like to");
  const ending = { outcome: "answered", reason: "max_duration" } as const;
  stage.tell({ type: "end", sentence: "We must stop here.", ending });
  assert.equal(floor(stage), "closing");
  stage.listen();
  assert.deepEqual(said(stage).slice(1), ["> I would like to", "We must stop here."]);
  assert.deepEqual(stage.effects.at(-1), { type: "hangUp", ending, sentence: null });
});

Deno.test("a call that must end cuts the agent's own speech", () => {
  const stage = ring();
  hear(stage, 2);
  const ending = { outcome: "answered", reason: "max_duration" } as const;
  stage.tell({ type: "end", sentence: "We must stop here.", ending });
  stage.tell({ type: "end", sentence: "Twice.", ending });
  stage.listen();
  assert.deepEqual(stage.heard(), ["Welcome to", "We must stop here."]);
});

Deno.test("a lost leg goes on from the first word that was not heard", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("We are open from nine to five.");
  hear(stage, 3);
  stage.loseLeg();
  stage.advance(2_000);
  stage.regainLeg();
  stage.listen();
  assert.deepEqual(said(stage).slice(2), [
    ["We are open", "from nine to five."],
    "from nine to five.",
  ]);
});

Deno.test("a leg that is lost before the reply has it made when it is back", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.loseLeg();
  stage.regainLeg();
  assert.equal(stage.prompts.length, 2);
  assert.equal(floor(stage), "thinking");
  stage.advance(FILLER_MS - 1);
  stage.answer("Hi.");
  stage.listen();
  assert.equal(said(stage).at(-1), "Hi.");
});

Deno.test("a leg that is lost while the caller speaks keeps their words, and answers them", () => {
  const stage = greeted();
  stage.final("I would like");
  stage.loseLeg();
  assert.deepEqual(said(stage).at(-1), "> I would like");
  stage.regainLeg();
  assert.deepEqual(lastMessages(stage).at(-1), { role: "caller", text: "I would like" });
});

Deno.test("a leg that is lost between a function and its reply says the rest and asks for the reply", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("One moment please.", call("next"));
  hear(stage, 1);
  stage.loseLeg();
  stage.regainLeg();
  assert.equal(stage.prompts.length, 3);
  stage.answer("What is your name?");
  stage.listen();
  assert.deepEqual(stage.heard().slice(1), ["One", "moment please. What is your name?"]);
});

Deno.test("a leg that is lost within the farewell says the rest when it is back, and hangs up", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("", call("next"));
  stage.answer("", call("finish", { name: "Maria" }));
  hear(stage, 2);
  stage.loseLeg();
  stage.regainLeg();
  assert.equal(floor(stage), "closing");
  stage.listen();
  assert.deepEqual(stage.heard().slice(1), ["All done,", "Maria. Goodbye!"]);
  assert.equal(stage.effects.at(-1)?.type, "hangUp");
});

Deno.test("a leg that is lost when all was said but the hang-up is hung up when it is back", () => {
  const stage = greeted();
  stage.say("A check-up.");
  stage.answer("", call("next"));
  stage.answer("", call("finish", { name: "Maria" }));
  hear(stage, 3);
  stage.advance(WORD_MS - 1);
  stage.tell({ type: "marked", name: "2:w3", at: stage.now, frames: 0, jitterMs: 0 });
  stage.loseLeg();
  stage.regainLeg();
  assert.equal(stage.effects.at(-1)?.type, "hangUp");
});

Deno.test("marks that are not ours, or of utterances long over, change nothing", () => {
  const stage = greeted();
  const before = stage.dialogue;
  for (const name of ["nonsense", "1:w3", "1:end", "1:cut", "9:start"]) {
    stage.tell({ type: "marked", name, at: stage.now, frames: 0, jitterMs: 0 });
  }
  stage.tell({ type: "settleDue", generation: 1 });
  stage.tell({ type: "synthesisFailed", generation: 1, error: RETRYABLE });
  assert.equal(stage.dialogue.turn, before.turn);
  assert.equal(eventsOf(stage, "agent_said").length, 1);
});

Deno.test("a mark of the start that comes twice leaves the gap as it was", () => {
  const stage = greeted();
  stage.say("Hello.");
  stage.answer("Hi there.");
  hear(stage, 1);
  stage.tell({ type: "marked", name: "2:start", at: stage.now, frames: 0, jitterMs: 0 });
  stage.listen();
  assert.equal(eventsOf(stage, "agent_said").at(-1)?.gapMs, SYNTHESIS_MS);
});

Deno.test("a greeting with odd spaces is counted in words like any other text", () => {
  const [start, ...others] = clinic.nodes;
  assert.ok(start?.type === "start");
  const graph = {
    ...clinic,
    nodes: [{ ...start, greeting: "Good   day,\n my friend." }, ...others],
  };
  const stage = newStage(graph);
  stage.regainLeg();
  hear(stage, 2);
  stage.interim("hi");
  stage.advance(5);
  assert.deepEqual(said(stage), [["Good day,", "my friend."]]);
});

Deno.test("an agent that lets the caller speak first keeps their words over a lost leg", () => {
  const [start, ...others] = clinic.nodes;
  assert.ok(start?.type === "start");
  const stage = newStage({ ...clinic, nodes: [{ ...start, greeting: "" }, ...others] });
  stage.regainLeg();
  assert.equal(floor(stage), "quiet");
  stage.say("A check-up.");
  stage.answer("", call("next"));
  stage.loseLeg();
  stage.regainLeg();
  assert.equal(stage.dialogue.workflow.node, "name");
  assert.equal(stage.prompts.length, 3);
});

Deno.test("keys whose pause ends while the agent thinks are answered with what was said, at once", () => {
  const stage = greeted();
  stage.tell({ type: "pressed", digit: "5" });
  stage.say("My name is Ada.");
  assert.equal(floor(stage), "thinking");
  stage.tell({ type: "keysDue" });
  stage.advance(1);
  assert.equal(floor(stage), "thinking");
  assert.deepEqual(stage.prompts.at(-1)?.messages.slice(-2), [
    { role: "caller", text: "My name is Ada." },
    { role: "caller", text: "(keyed 5)" },
  ]);
});

Deno.test("keys are a turn of the caller once # or a pause ends them, and interrupt the agent", () => {
  for (const end of ["#", null]) {
    const stage = greeted();
    stage.say("Hello.");
    stage.answer("Please key in your number, and then the hash key.");
    hear(stage, 3);
    for (const digit of "4711") stage.tell({ type: "pressed", digit });
    assert.equal(floor(stage), "agent");
    stage.tell(end === null ? { type: "keysDue" } : { type: "pressed", digit: end });
    assert.equal(floor(stage), "thinking");
    stage.advance(10);
    stage.answer("Thank you.");
    stage.listen();
    assert.deepEqual(
      said(stage).slice(2).sort(),
      [
        "> (keyed 4711)",
        "Thank you.",
        ["Please key in", "your number, and then the hash key."],
      ].sort(),
    );
    stage.tell({ type: "keysDue" }); // of keys that were taken already
    assert.equal(stage.prompts.length, 2);
  }
});
