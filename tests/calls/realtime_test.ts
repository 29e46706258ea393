/** Calls whose agent hears and speaks with one model, over its protocol, at virtual time. */

import assert from "node:assert/strict";
import type { CallEvent } from "@/actors/call/events.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { newCaller } from "@/tests/support/caller.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import { type RealtimeCall, realtimeCall } from "@/tests/support/realtime_call.ts";

const LONG = "We are open from Monday to Friday, nine to five, and on Saturdays until one o'clock.";
const DEMO = parseGraph(demoAgent);

function of<T extends CallEvent["type"]>({ events }: RealtimeCall, type: T) {
  return events.filter((it): it is Extract<CallEvent, { type: T }> => it.type === type);
}

/** Nothing was refused, no call of a function was left without its output, and no word is on record that was not heard. */
function isSound(call: RealtimeCall): void {
  assert.deepEqual(call.server.refusals, []);
  assert.deepEqual(call.server.unanswered, []);
  const { extra } = compareHeard(of(call, "agent_said"), playedWords(call.stream), []);
  assert.deepEqual(extra, []);
}

Deno.test("one model hears, answers and speaks: the appointment is booked, and all is on record that was heard", async () => {
  const call = await realtimeCall({ graph: DEMO });
  const { clock, stream } = call;
  const hangUp = () => stream.stop();
  const caller = newCaller({ clock, stream, lines: demoCaller, hangUp });
  await clock.advance(90_000);
  caller.stop();
  isSound(call);
  const { missing } = compareHeard(of(call, "agent_said"), playedWords(stream), []);
  assert.deepEqual(missing, []);
  assert.equal(call.ends[0]?.reason, "agent_hung_up");
  assert.deepEqual(call.ends[0]?.variables, {
    reason: "Hello, I have a toothache and would like to see a dentist",
    patient: "Maria Lopez",
    firstVisit: true,
    day: "Thursday",
    time: "half past nine",
  });
  assert.equal(call.hangUps.length, 1);
  await call.close();
});

Deno.test("each node has its instructions and its functions in the session, and each call of one has one output", async () => {
  const call = await realtimeCall({ graph: DEMO });
  const { clock, stream } = call;
  const caller = newCaller({ clock, stream, lines: demoCaller, hangUp: () => stream.stop() });
  await clock.advance(90_000);
  caller.stop();
  const tools = call.sent("session.update").flatMap(({ session }) =>
    session.tools?.map(({ name }) => name).join(" ") ?? []
  );
  assert.deepEqual(tools.filter((it, at) => it !== "" && it !== tools[at - 1]), [
    "start_booking",
    "choose_slot",
    "book_appointment",
  ]);
  const outputs = call.sent("conversation.item.create").flatMap(({ item }) =>
    item.type === "function_call_output" ? [item.call_id] : []
  );
  assert.deepEqual(outputs, of(call, "tool_called").map((it) => it.call.id).slice(0, 2));
  const [first] = call.sent("session.update");
  assert.equal(first?.session.audio?.input?.turn_detection?.create_response, false);
  assert.equal(first?.session.audio?.input?.turn_detection?.interrupt_response, false);
  await call.close();
});

Deno.test("a caller who talks over the agent silences it, and the model knows what they heard to the millisecond", async () => {
  const call = await realtimeCall({ graph: clinic, script: [{ text: LONG }, { text: "Yes." }] });
  await call.clock.advance(4_000); // the greeting
  await call.say("When are you open?");
  await call.hear(8);
  await call.say("On Sunday too?");
  await call.clock.advance(4_000);
  isSound(call);
  const [, cut] = of(call, "agent_said");
  assert.equal(cut?.bargedIn, true);
  assert.ok(cut !== undefined && LONG.startsWith(cut.text) && cut.text !== "", cut?.text);
  const [truncation, ...more] = call.sent("conversation.item.truncate");
  assert.deepEqual(more, []);
  const heardMs = truncation?.audio_end_ms ?? 0;
  assert.ok(Number.isInteger(heardMs) && heardMs > 500 && heardMs < 5_000, `${heardMs}`);
  // The next answer is made of what was heard, and of no word more.
  const said = call.prompts[1]?.messages.filter(({ role }) => role === "agent").at(-1);
  assert.equal(said?.role === "agent" && cut.text.startsWith(said.text), true);
  assert.ok(
    said?.role === "agent" && said.text.split(" ").length >= cut.text.split(" ").length - 1,
  );
  assert.ok(call.heard().endsWith("Yes."));
  await call.close();
});

Deno.test("the answer is begun when the caller falls silent, and waits for their words", async () => {
  const call = await realtimeCall({
    graph: clinic,
    transcriptionMs: 700,
    script: () => ({ text: "Yes." }),
  });
  await call.clock.advance(4_000);
  for (let turn = 0; turn < 2; turn++) {
    await call.say("Are you open?");
    await call.clock.advance(5_000);
  }
  isSound(call);
  assert.equal(call.heard(), "Welcome to the clinic. How can I help? Yes. Yes.");
  const gaps = of(call, "agent_said").flatMap(({ gapMs }) => gapMs ?? []);
  const [first = 0, second = 0] = gaps;
  assert.ok(first - second >= 200, `${gaps}`); // all that the model took
  assert.ok(second >= 1_100, `${gaps}`); // silence and transcription: nothing is said before the words are known
  await call.close();
});

Deno.test("of an answer that was begun too early nothing stays, and the caller is answered once", async () => {
  const call = await realtimeCall({
    graph: clinic,
    transcriptionMs: 700,
    script: () => ({ text: "Yes." }),
  });
  await call.clock.advance(4_000);
  await call.say("Are you open?");
  await call.clock.advance(5_000);
  await call.say("And could I come");
  await call.clock.advance(550); // long enough to be taken for the end
  await call.say("on Sunday?");
  await call.clock.advance(5_000);
  isSound(call);
  assert.equal(call.heard(), "Welcome to the clinic. How can I help? Yes. Yes.");
  assert.deepEqual(of(call, "caller_said").map(({ text }) => text), [
    "Are you open?",
    "And could I come on Sunday?",
  ]);
  assert.deepEqual(call.prompts.at(-1)?.messages.map((it) => "text" in it ? it.text : it.role), [
    "Welcome to the clinic. How can I help?",
    "Are you open?",
    "Yes.",
    "And could I come",
    "on Sunday?",
  ]);
  await call.close();
});

Deno.test("an agent that is muted while its answer is begun does not say it, and it is forgotten", async () => {
  const call = await realtimeCall({ graph: clinic, script: () => ({ text: "Yes." }) });
  await call.clock.advance(4_000);
  await call.say("Are you open?");
  await call.clock.advance(4_000);
  const by = "user_1";
  const muted = call.call.ask<void>((reply) => ({
    type: "control",
    command: { type: "mute" },
    by,
    reply,
  }));
  await call.clock.settle();
  await muted;
  for (let turn = 0; turn < 3; turn++) {
    await call.say("Hello?");
    await call.clock.advance(4_000);
  }
  assert.equal(call.heard(), "Welcome to the clinic. How can I help? Yes.");
  assert.equal(call.sent("conversation.item.delete").length, 1); // it is begun in vain once, and no more
  isSound(call);
  await call.close();
});
