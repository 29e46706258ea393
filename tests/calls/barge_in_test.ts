/** A barge-in: how soon the agent falls silent, and that what follows is about what was heard. */

import assert from "node:assert/strict";
import { speak } from "@/lib/audio/modem.ts";
import type { Prompt } from "@/lib/providers/llm/llm.ts";
import type { Script } from "@/lib/providers/llm/simulated.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";

const LONG = "We are open from Monday to Friday, nine to five, and on Saturdays until one o'clock.";

/** A call of an agent that answers with LONG, then with what it makes of being cut off. */
async function setUp(script: Script = () => ({ text: LONG })) {
  const kit = actorKit();
  const { clock } = kit;
  const prompts: Prompt[] = [];
  const firstWords: number[] = []; // when the recogniser said the first word of an utterance
  const ears = simulatedStt({ clock });
  const stt: SpeechToText = {
    ...ears,
    async *transcribe(audio, options, signal) {
      let isFirst = true;
      for await (const heard of ears.transcribe(audio, options, signal)) {
        if (heard.type === "interim" && isFirst) firstWords.push(clock.now());
        isFirst = heard.type === "utteranceEnded" || (isFirst && heard.type !== "interim");
        yield heard;
      }
    },
  };
  const call = callKit({
    kit,
    script: (prompt, n) => {
      prompts.push(prompt);
      return typeof script === "function" ? script(prompt, n) : script[n] ?? null;
    },
    deps: { stt },
  });
  const stream = await call.connect();

  async function hear(text: string): Promise<void> {
    const words = text.split(" ").length;
    const from = playedWords(stream).length;
    while (playedWords(stream).length < from + words) await clock.advance(20);
  }
  async function say(text: string): Promise<void> {
    const { audio } = speak(text);
    void stream.say(audio);
    await clock.advance(audio.length / 8);
  }
  return {
    ...call,
    clock,
    stream,
    prompts,
    firstWords,
    hear,
    say,
    clears: () => stream.log.flatMap((entry) => entry.type === "clear" ? [entry.atMs] : []),
    heard: () => playedWords(stream).map(({ text }) => text).join(" "),
    said: () => call.events.filter((event) => event.type === "agent_said"),
  };
}

Deno.test("the clear reaches the carrier in the instant in which the caller's first word is recognised", async () => {
  const call = await setUp();
  await call.clock.advance(1_500); // the greeting
  await call.say("Hello there");
  await call.clock.advance(5_000); // the answer has begun
  await call.say("Stop please");
  await call.clock.advance(1_000);
  assert.equal(call.clears().length, 2);
  assert.deepEqual(call.clears(), call.firstWords);
  await call.close();
});

Deno.test("nothing that was said before is played behind the clear", async () => {
  const call = await setUp(() => ({ text: "Yes." }));
  await call.clock.advance(1_500);
  await call.say("Hello there");
  await call.clock.advance(5_000);
  const at = call.stream.log.findIndex((entry) => entry.type === "clear");
  const behind = call.stream.log.slice(at).flatMap((entry) =>
    entry.type === "mark" ? [entry.name] : []
  );
  assert.deepEqual(behind.filter((name) => name.startsWith("1:")), []);
  assert.ok(call.heard().endsWith("Yes."));
  await call.close();
});

Deno.test("the reply that follows is made of what was heard, and no word more", async () => {
  const call = await setUp();
  await call.clock.advance(2_000);
  const heardOfGreeting = call.heard();
  assert.notEqual(heardOfGreeting, "");
  await call.say("Just tell me when you are open");
  await call.clock.advance(3_000);
  const [greeting] = call.said();
  assert.equal(greeting?.type === "agent_said" && greeting.bargedIn, true);
  assert.equal(greeting?.text.startsWith(heardOfGreeting), true);
  assert.deepEqual(call.prompts[0]?.messages, [
    { role: "agent", text: greeting?.text },
    { role: "caller", text: "Just tell me when you are open" },
  ]);
  const { extra, missing } = compareHeard(call.said(), playedWords(call.stream), []);
  assert.deepEqual({ extra, missing: missing.map(({ text }) => text) }, {
    extra: [],
    missing: LONG.split(" ").slice(0, missing.length), // the answer, which is still being said
  });
  await call.close();
});

Deno.test("a caller who speaks before the first word of the agent has begun is not spoken over", async () => {
  const call = await setUp(() => ({ text: "Yes." }));
  await call.say("Hello there"); // from the first instant
  await call.clock.advance(5_000);
  assert.equal(call.prompts.length, 1);
  assert.deepEqual(call.prompts[0]?.messages.at(-1), { role: "caller", text: "Hello there" });
  assert.ok(call.heard().endsWith("Yes."));
  await call.close();
});

Deno.test("a reply that is being made is dropped when the caller goes on, and the next is about all they said", async () => {
  const call = await setUp(() => ({ text: "Yes." }));
  await call.hear("Bright Smile Dental, Nora speaking. How can I help you?");
  await call.say("I have a toothache");
  await call.clock.advance(500); // it was endpointed, and the model is at work
  assert.equal(call.prompts.length, 1);
  await call.say("and it hurts");
  await call.clock.advance(5_000);
  assert.equal(call.prompts.length, 2);
  const callers = call.prompts[1]?.messages.flatMap((it) => it.role === "caller" ? [it.text] : []);
  assert.deepEqual(callers?.join(" "), "I have a toothache and it hurts");
  assert.equal(call.said().filter(({ text }) => text === "Yes.").length, 1);
  await call.close();
});

Deno.test("the model's request is aborted at a barge-in: it says nothing more", async () => {
  const slow = `${LONG} ${LONG} ${LONG}`;
  const call = await setUp((_prompt, n) => ({ text: n === 0 ? slow : "Yes." }));
  await call.hear("Bright Smile Dental, Nora speaking. How can I help you?");
  await call.say("When are you open");
  await call.clock.advance(3_000);
  await call.say("Stop please");
  await call.clock.advance(20_000);
  assert.ok(call.heard().includes("Yes."));
  assert.equal(call.said().filter((it) => it.bargedIn).length, 1);
  const { extra, missing } = compareHeard(call.said(), playedWords(call.stream), []);
  assert.deepEqual({ extra, missing }, { extra: [], missing: [] });
  await call.close();
});
