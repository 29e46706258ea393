/** Calls of one model at random: whoever talks when, whatever is lost, what is on record was heard, and the model knows it. */

import assert from "node:assert/strict";
import { wordsOf } from "@/actors/call/conversation.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import type { Prompt } from "@/lib/providers/llm/llm.ts";
import type { ScriptedReply } from "@/lib/providers/llm/simulated.ts";
import { prng } from "@/tests/support/actor_kit.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { playedWords } from "@/tests/support/heard.ts";
import { realtimeCall } from "@/tests/support/realtime_call.ts";

const CALLS = 25;
const TURNS = 6;
const LINES = [
  "Yes.",
  "When are you open?",
  "No, wait.",
  "Mm-hmm.",
  "My name is Maria Lopez, as I said.",
];
const REPLIES = [
  "We are open from Monday to Friday, nine to five, and on Saturdays until one o'clock.",
  "Certainly.",
  "One moment please. I look it up for you.",
];

const of = <T extends CallEvent["type"]>(events: readonly CallEvent[], type: T) =>
  events.filter((it): it is Extract<CallEvent, { type: T }> => it.type === type);

async function history(seed: number): Promise<void> {
  const random = prng(seed);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const script = ({ system, tools }: Prompt): ScriptedReply => {
    if (system.includes("Go on exactly where it ends")) return { text: "" };
    const tool = tools[0];
    const calls = tool !== undefined && random() < 0.15
      ? { toolCalls: [{ name: tool.name, arguments: '{"name": "Maria"}' }] }
      : {};
    return { text: pick(REPLIES), ...calls };
  };
  const call = await realtimeCall({
    graph: clinic,
    script,
    transcriptionMs: 50 + Math.floor(random() * 600),
    ...(random() < 0.5 ? { fallback: script } : {}),
  });
  await call.clock.advance(random() * 4_000);
  for (let turn = 0; turn < TURNS && call.stream.isOpen(); turn++) {
    if (random() < 0.1) call.server.drop();
    if (random() < 0.1) call.server.failAnswers({ type: "fail", code: "server_error" });
    if (random() < 0.05) call.stream.press("5");
    await call.say(pick(LINES));
    await call.clock.advance(random() * 6_000);
  }
  await call.clock.advance(10_000);
  const { events } = call;
  const heard = playedWords(call.stream).map(({ text }) => text).values();
  for (const word of of(events, "agent_said").flatMap(({ text }) => wordsOf(text))) {
    assert.ok(heard.some((it) => it === word), `${seed}: "${word}" was not heard`);
  }
  assert.deepEqual(call.server.unanswered, [], `${seed}`);
  assert.deepEqual(call.server.refusals, [], `${seed}`);
  assert.ok(
    call.ends.every(({ reason }) => reason === "agent_hung_up"),
    `${seed}: the call was lost`,
  );
  const calls = of(events, "tool_called").map((it) => it.call.id);
  assert.equal(new Set(calls).size, calls.length, `${seed}`);
  const sent = call.sent("conversation.item.truncate");
  assert.ok(sent.every(({ audio_end_ms }) => Number.isInteger(audio_end_ms)));
  await call.close();
  assert.equal(call.clock.armed, 0, `${seed}: timers are left`);
}

Deno.test("whatever happens in a call of one model, what is on record was heard, and each function has one output", async () => {
  for (let seed = 1; seed <= CALLS; seed++) await history(seed);
});
