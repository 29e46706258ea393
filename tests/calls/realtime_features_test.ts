/** What a call can do besides talk, when one model hears, answers and speaks: others' words, keys, silences, limits, hooks, the crash. */

import assert from "node:assert/strict";
import type { Command } from "@/actors/call/control.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import { speak } from "@/lib/audio/modem.ts";
import { type Graph, parseGraph } from "@/lib/workflow/graph.ts";
import { clinic } from "@/tests/support/clinic.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import { type RealtimeCall, realtimeCall } from "@/tests/support/realtime_call.ts";

const LONG = "We are open from Monday to Friday, nine to five, and on Saturdays until one o'clock.";
const GREETING = "Welcome to the clinic. How can I help?";

function of<T extends CallEvent["type"]>({ events }: RealtimeCall, type: T) {
  return events.filter((it): it is Extract<CallEvent, { type: T }> => it.type === type);
}

function isSound(call: RealtimeCall): void {
  assert.deepEqual(call.server.refusals, []);
  assert.deepEqual(call.server.unanswered, []);
  const { extra } = compareHeard(of(call, "agent_said"), playedWords(call.stream), []);
  assert.deepEqual(extra, []);
}

async function control(call: RealtimeCall, command: Command): Promise<void> {
  const by = "user_1";
  const done = call.call.ask<void>((reply) => ({ type: "control", command, by, reply }));
  await call.clock.settle();
  await done;
}

const withLimits = (limits: Partial<Graph["limits"]>): Graph =>
  parseGraph({ ...clinic, limits: { ...clinic.limits, ...limits } });

Deno.test("what a colleague has the agent say is said to the letter, and the model knows of it", async () => {
  const call = await realtimeCall({ graph: clinic, script: [{ text: "At nine." }] });
  await call.clock.advance(4_000);
  await control(call, { type: "say", text: "The doctor is back.", interrupts: false });
  await call.clock.advance(3_000);
  await call.say("When?");
  await call.clock.advance(3_000);
  assert.equal(call.heard(), `${GREETING} The doctor is back. At nine.`);
  assert.deepEqual(call.prompts[0]?.messages.map((it) => "text" in it ? it.text : ""), [
    GREETING,
    "The doctor is back.",
    "When?",
  ]);
  isSound(call);
  await call.close();
});

Deno.test("a note of a colleague stands in the session's instructions", async () => {
  const call = await realtimeCall({ graph: clinic, script: [{ text: "Good." }] });
  await call.clock.advance(4_000);
  await control(call, { type: "addContext", text: "The caller is a member." });
  await call.say("Hello.");
  await call.clock.advance(3_000);
  assert.match(call.prompts[0]?.system ?? "", /- The caller is a member\./);
  isSound(call);
  await call.close();
});

Deno.test("a muted agent says nothing and is asked nothing, and answers when it may", async () => {
  const call = await realtimeCall({ graph: clinic, script: [{ text: "At nine." }] });
  await call.clock.advance(4_000);
  await control(call, { type: "mute" });
  await call.say("When do you open?");
  await call.clock.advance(5_000);
  assert.deepEqual([call.prompts.length, call.heard()], [0, GREETING]);
  await control(call, { type: "unmute" });
  await call.clock.advance(3_000);
  assert.ok(call.heard().endsWith("At nine."), call.heard());
  isSound(call);
  await call.close();
});

Deno.test("a transfer is announced, and made once it was heard", async () => {
  const call = await realtimeCall({ graph: clinic });
  await call.clock.advance(4_000);
  const sentence = "I will put you through.";
  await control(call, { type: "transfer", to: "+15550100200", sentence });
  await call.clock.advance(9_000);
  assert.ok(call.heard().endsWith(sentence), call.heard());
  assert.deepEqual(call.ends.map(({ reason }) => reason), ["transferred"]);
  isSound(call);
  await call.close();
});

Deno.test("what is keyed reaches the model as a turn of the caller", async () => {
  const call = await realtimeCall({ graph: clinic, script: [{ text: "Thank you." }] });
  await call.clock.advance(4_000);
  for (const digit of "4711#") {
    call.stream.press(digit);
    await call.clock.advance(200);
  }
  await call.clock.advance(3_000);
  assert.deepEqual(call.prompts[0]?.messages.at(-1), { role: "caller", text: "(keyed 4711)" });
  assert.ok(call.heard().endsWith("Thank you."), call.heard());
  isSound(call);
  await call.close();
});

Deno.test("a caller who says nothing is asked whether they are there, then let go", async () => {
  const call = await realtimeCall({ graph: clinic });
  await call.clock.advance(40_000);
  assert.equal(call.heard(), `${GREETING} Are you there? ${clinic.idleFarewell}`);
  assert.deepEqual(call.ends.map(({ reason }) => reason), ["caller_silent"]);
  isSound(call);
  await call.close();
});

Deno.test("a caller who speaks for longer than an idle agent waits is not interrupted", async () => {
  const call = await realtimeCall({
    graph: withLimits({ idleMs: 3_000 }),
    script: [{ text: "Yes." }],
  });
  await call.clock.advance(3_000);
  const story = Array.from({ length: 40 }, (_, nth) => `word${nth}`).join(" ");
  await call.say(story);
  await call.clock.advance(3_000);
  assert.deepEqual(of(call, "caller_said").map(({ text }) => text), [story]);
  assert.equal(call.heard(), `${GREETING} Yes.`);
  isSound(call);
  await call.close();
});

Deno.test("a call that is at its limit ends with its sentence, whoever speaks", async () => {
  const call = await realtimeCall({
    graph: withLimits({ maxDurationMs: 10_000 }),
    script: [{ text: `${LONG} ${LONG}` }],
  });
  await call.clock.advance(4_000);
  await call.say("When are you open?");
  await call.clock.advance(20_000);
  assert.ok(call.heard().endsWith(clinic.timeUpSentence), call.heard());
  assert.deepEqual(call.ends.map(({ reason }) => reason), ["max_duration"]);
  isSound(call);
  await call.close();
});

Deno.test("a hook says its sentence at its time", async () => {
  const graph = parseGraph({
    ...clinic,
    hooks: [{
      name: "late",
      on: { type: "elapsed", afterMs: 5_000 },
      do: { type: "say", text: "We close soon.", interrupts: false },
    }],
  });
  const call = await realtimeCall({ graph });
  await call.clock.advance(9_000);
  assert.equal(call.heard(), `${GREETING} We close soon.`);
  isSound(call);
  await call.close();
});

Deno.test("a sound that comes to nothing is none: what it cut off is said to its end", async () => {
  const call = await realtimeCall({ graph: clinic, script: [{ text: LONG }] });
  await call.clock.advance(4_000);
  await call.say("When are you open?");
  await call.hear(6);
  void call.stream.say(speak("Understood").audio.subarray(0, 1_600)); // breaks off
  await call.clock.advance(12_000);
  assert.deepEqual(of(call, "caller_said").map(({ text }) => text), ["When are you open?"]);
  assert.ok(call.heard().endsWith("o'clock."), call.heard());
  isSound(call);
  await call.close();
});

Deno.test("a call that is rebuilt after a crash has a session anew, which knows the conversation", async () => {
  const call = await realtimeCall({
    graph: clinic,
    script: [{ text: "At nine." }, { text: "No." }],
  });
  await call.clock.advance(4_000);
  await call.say("When do you open?");
  await call.clock.advance(4_000);
  call.call.send({
    type: "hooksDue",
    get moment(): never {
      throw new TypeError("planted");
    },
  });
  await call.clock.advance(2_000);
  const stream = await call.reconnect();
  await call.clock.advance(1_000);
  void stream.say(speak("On Sundays too?").audio);
  await call.clock.advance(6_000);
  assert.deepEqual(of(call, "agent_said").map(({ text }) => text), [GREETING, "At nine.", "No."]);
  assert.deepEqual(call.prompts[1]?.messages.map((it) => "text" in it ? it.text : ""), [
    GREETING,
    "When do you open?",
    "At nine.",
    "On Sundays too?",
  ]);
  assert.deepEqual(call.server.refusals, []);
  await call.close();
});

Deno.test("an eager agent's answers are begun by its session alone, in advance and once", async () => {
  const graph = parseGraph({ ...clinic, turns: { isEager: true, silenceMs: 600 } });
  const call = await realtimeCall({ graph, script: () => ({ text: "Yes." }) });
  await call.clock.advance(4_000);
  for (let turn = 0; turn < 3; turn++) {
    await call.say("Are you open?");
    await call.clock.advance(4_000);
  }
  assert.equal(call.prompts.length, 3);
  assert.equal(call.heard(), `${GREETING} Yes. Yes. Yes.`);
  isSound(call);
  await call.close();
});
