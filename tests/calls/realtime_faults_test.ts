/** What a caller hears when one model hears, answers and speaks, and its session fails. */

import assert from "node:assert/strict";
import type { CallEvent } from "@/actors/call/events.ts";
import { isAudible } from "@/lib/audio/energy.ts";
import type { Prompt } from "@/lib/providers/llm/llm.ts";
import type { ScriptedReply } from "@/lib/providers/llm/simulated.ts";
import { wordsOf } from "@/actors/call/conversation.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { playedWords } from "@/tests/support/heard.ts";
import { type RealtimeCall, realtimeCall } from "@/tests/support/realtime_call.ts";

const LONG = "We are open from Monday to Friday, nine to five, and on Saturdays until one o'clock.";
/** Answers with LONG first, and goes on from where that broke off. */
const goingOn = (then: string) => ({ system, messages }: Prompt): ScriptedReply => {
  if (system.includes("Go on exactly where it ends")) return { text: "" };
  return { text: messages.filter(({ role }) => role === "caller").length < 2 ? LONG : then };
};
const NEXT = { toolCalls: [{ name: "next", arguments: "{}" }] };

function of<T extends CallEvent["type"]>({ events }: RealtimeCall, type: T) {
  return events.filter((it): it is Extract<CallEvent, { type: T }> => it.type === type);
}

/** Every word on record was heard, in this order; where a voice broke off in a word, that one was heard twice. */
function isTrue(call: RealtimeCall): void {
  assert.deepEqual(call.server.unanswered, []);
  const heard = playedWords(call.stream).map(({ text }) => text).values();
  for (const word of of(call, "agent_said").flatMap(({ text }) => wordsOf(text))) {
    assert.ok(heard.some((it) => it === word), `"${word}" was not heard`);
  }
}

/** The longest silence between two of the agent's sounds, from an instant on. */
function deadAirMs({ stream, clock }: RealtimeCall, from: number): number {
  let quietFrom = from;
  let longest = 0;
  for (const { atMs, audio } of stream.player.pieces()) {
    if (atMs < from || !isAudible(audio)) continue;
    longest = Math.max(longest, atMs - quietFrom);
    quietFrom = atMs + audio.length / 8;
  }
  return Math.max(longest, quietFrom === from ? clock.now() - from : 0);
}

Deno.test("a session that is lost in mid-sentence is opened anew, and the rest of the sentence is said", async () => {
  const call = await realtimeCall({ graph: clinic, script: goingOn("Yes.") });
  await call.clock.advance(4_000);
  await call.say("When are you open?");
  call.server.failAnswers({ type: "drop", afterMs: 1_500 });
  const askedAt = call.clock.now();
  await call.clock.advance(9_000);
  assert.equal(call.server.connections, 2);
  assert.ok(deadAirMs(call, askedAt) < 4_000, `${deadAirMs(call, askedAt)}`);
  assert.deepEqual(of(call, "agent_said").map(({ text }) => text), [
    "Welcome to the clinic. How can I help?",
    LONG,
  ]);
  // The new session knows the conversation, as text.
  const items = call.sent("conversation.item.create").map(({ item }) =>
    item.type === "message" ? `${item.role}: ${item.content[0]?.text}` : item.type
  );
  assert.deepEqual(items.slice(-3, -1), [
    "assistant: Welcome to the clinic. How can I help?",
    "user: When are you open?",
  ]);
  await call.say("On Sunday too?");
  await call.clock.advance(4_000);
  assert.ok(call.heard().endsWith("Yes."), call.heard());
  isTrue(call);
  await call.close();
});

Deno.test("a session that cannot be opened again gives way to recogniser, model and voice, and the call goes on", async () => {
  const call = await realtimeCall({
    graph: clinic,
    script: [{ text: LONG }],
    fallback: goingOn("Until one."),
  });
  await call.clock.advance(4_000);
  await call.say("When are you open?");
  call.refuse(503);
  call.server.failAnswers({ type: "drop", afterMs: 1_500 });
  const askedAt = call.clock.now();
  await call.clock.advance(9_000);
  assert.ok(deadAirMs(call, askedAt) < 4_000, `${deadAirMs(call, askedAt)}`);
  await call.say("On Saturdays too?");
  await call.clock.advance(4_000);
  assert.ok(call.heard().endsWith("Until one."), call.heard());
  assert.deepEqual(of(call, "caller_said").map(({ text }) => text), [
    "When are you open?",
    "On Saturdays too?",
  ]);
  isTrue(call);
  await call.close();
});

Deno.test("a session that never opens leaves the whole call to the others", async () => {
  const call = await realtimeCall({ graph: clinic, fallback: [{ text: "At nine." }] });
  call.refuse(401);
  call.server.drop();
  await call.clock.advance(6_000);
  assert.ok(call.heard().includes("How can I help?"), call.heard());
  await call.say("When do you open?");
  await call.clock.advance(4_000);
  assert.ok(call.heard().endsWith("At nine."), call.heard());
  isTrue(call);
  await call.close();
});

Deno.test("an error that is about nothing in particular ends nothing", async () => {
  const call = await realtimeCall({ graph: clinic, script: [{ text: "At nine." }] });
  await call.clock.advance(4_000);
  call.server.sendError("invalid_value");
  await call.say("When do you open?");
  await call.clock.advance(3_000);
  assert.equal(call.server.connections, 1);
  assert.ok(call.heard().endsWith("At nine."));
  isTrue(call);
  await call.close();
});

Deno.test("an hour is the longest that a session lasts: the next one takes over between two words", async () => {
  const call = await realtimeCall({
    graph: clinic,
    script: [{ text: "At nine." }, { text: "No." }],
  });
  await call.clock.advance(4_000);
  await call.say("When do you open?");
  await call.clock.advance(3_000);
  call.server.sendError("session_expired");
  await call.say("On Sundays too?");
  await call.clock.advance(3_000);
  assert.equal(call.server.connections, 2);
  assert.ok(call.heard().endsWith("At nine. No."), call.heard());
  assert.deepEqual(of(call, "caller_said").map(({ text }) => text), [
    "When do you open?",
    "On Sundays too?",
  ]);
  isTrue(call);
  await call.close();
});

Deno.test("an answer that a limit refused is another model's, and the next is its own again", async () => {
  const call = await realtimeCall({
    graph: clinic,
    script: [{ text: "Until one." }],
    fallback: [{ text: "At nine." }],
  });
  await call.clock.advance(4_000);
  call.server.failAnswers({ type: "fail", code: "rate_limit_exceeded" });
  await call.say("When do you open?");
  await call.clock.advance(4_000);
  assert.ok(call.heard().endsWith("At nine."), call.heard());
  assert.deepEqual(of(call, "failed"), []);
  await call.clock.advance(3_000);
  await call.say("And until when?");
  await call.clock.advance(4_000);
  assert.ok(call.heard().endsWith("Until one."), call.heard());
  // What the other one said is part of the session's conversation.
  assert.deepEqual(call.prompts.at(-1)?.messages.map((it) => "text" in it ? it.text : it.role), [
    "Welcome to the clinic. How can I help?",
    "When do you open?",
    "At nine.",
    "And until when?",
  ]);
  isTrue(call);
  await call.close();
});

Deno.test("a function that was called and never carried out has its output before the next answer", async () => {
  const call = await realtimeCall({
    graph: clinic,
    script: [{ text: "One moment please, I look it up.", ...NEXT, hang: true }, { text: "Yes." }],
  });
  await call.clock.advance(4_000);
  await call.say("When are you open?");
  await call.hear(1);
  await call.say("No.");
  await call.clock.advance(5_000);
  assert.ok(call.heard().endsWith("Yes."), call.heard());
  assert.deepEqual(of(call, "tool_called"), []);
  const outputs = call.sent("conversation.item.create").flatMap(({ item }) =>
    item.type === "function_call_output" ? [item.output] : []
  );
  assert.deepEqual(outputs, [
    JSON.stringify({ done: false, reason: "The caller went on speaking." }),
  ]);
  assert.deepEqual(call.server.refusals, []);
  isTrue(call);
  await call.close();
});
