/** Calls that the agent places: people are greeted at once, and machines are dealt with. */

import assert from "node:assert/strict";
import { BYTES_PER_MS, SAMPLE_RATE } from "@/lib/audio/frame.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import { encodeMulaw } from "@/lib/audio/mulaw.ts";
import type { ScriptedReply } from "@/lib/providers/llm/simulated.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { callKit, CARRIER_CALL_ID } from "@/tests/support/call_kit.ts";

const GREETING = "Good day, this is Anna of the bakery.";
const MESSAGE = "Your cake is ready. Goodbye.";
const PURPOSE = "Anna of the bakery, about your cake.";

const BEEP = encodeMulaw(
  Int16Array.from(
    { length: 400 * BYTES_PER_MS },
    (_, i) => Math.round(8_000 * Math.sin(2 * Math.PI * 1_000 * i / SAMPLE_RATE)),
  ),
);

async function setUp(
  answering: Readonly<Record<string, unknown>>,
  script: readonly ScriptedReply[] = [{ text: "May I speak to you?" }],
) {
  const it = callKit({
    direction: "outbound",
    script,
    graph: parseGraph({
      name: "Bakery",
      persona: "You call about cakes.",
      answering,
      nodes: [
        {
          type: "start",
          id: "open",
          greeting: GREETING,
          instructions: "Tell them.",
          mayPressKeys: true,
        },
        { type: "end", id: "done", farewell: "Goodbye.", outcome: "told" },
      ],
      edges: [{ from: "open", to: "done", function: "finish", condition: "That is all." }],
    }),
  });
  const { clock } = it.kit;
  const placed = it.call.ask((reply) => ({
    type: "dial",
    from: "+15550001",
    to: "+15550002",
    reply,
  }));
  await clock.settle();
  await placed;
  const stream = await it.connect();
  /** Resolves once it has been said. */
  async function say(text: string): Promise<void> {
    const { audio } = speak(text);
    void stream.say(audio);
    await clock.advance(audio.length / BYTES_PER_MS);
  }
  const heard = (): string => heardWords(stream.player.played()).map(({ text }) => text).join(" ");
  const answeredBy = () => it.events.flatMap((it) => it.type === "answered_by" ? [it.by] : []);
  /** The carrier's callback, as often as it comes. */
  async function judged(by: CarrierAnswerer, copies = 1): Promise<void> {
    for (let copy = 0; copy < copies; copy++) {
      it.call.send({ type: "carrierJudged", carrierCallId: CARRIER_CALL_ID, by });
    }
    await clock.settle();
  }
  return { ...it, clock, stream, say, heard, answeredBy, judged };
}

Deno.test("a person who says hello is greeted as soon as their turn is over", async () => {
  const it = await setUp({});
  await it.clock.advance(300);
  await it.say("Hello?");
  await it.clock.advance(1_200);
  assert.deepEqual(it.answeredBy(), ["human"]);
  assert.match(it.heard(), /^Good/);
  await it.clock.advance(4_000);
  assert.equal(it.heard(), GREETING);
  await it.close();
});

Deno.test("who says nothing is greeted all the same", async () => {
  const it = await setUp({});
  await it.clock.advance(2_400);
  assert.equal(it.heard(), "");
  await it.clock.advance(5_000);
  assert.deepEqual(it.answeredBy(), ["unknown"]);
  assert.equal(it.heard(), GREETING);
  await it.close();
});

Deno.test("a voicemail is hung up on without a word", async () => {
  const it = await setUp({});
  await it.say("Please leave a message after the tone.");
  await it.clock.advance(4_000);
  assert.deepEqual(it.answeredBy(), ["voicemail"]);
  assert.equal(it.heard(), "");
  assert.deepEqual([it.ends[0]?.outcome, it.ends[0]?.reason], ["voicemail", "agent_hung_up"]);
  await it.close();
});

Deno.test("a message is left behind the beep, and nothing that is heard breaks it off", async () => {
  const it = await setUp({ onVoicemail: "leave_message", message: MESSAGE });
  await it.say("Please leave a message after the tone.");
  await it.clock.advance(1_500);
  assert.equal(it.heard(), "", "it waits for the beep");
  void it.stream.say(BEEP);
  await it.clock.advance(900);
  assert.match(it.heard(), /^Your/, "it has not waited for a silence");
  void it.stream.say(speak("Stop it now please.").audio);
  await it.clock.advance(8_000);
  assert.equal(it.heard(), MESSAGE);
  assert.equal(it.ends[0]?.outcome, "voicemail");
  await it.close();
});

Deno.test("without a beep the message is left behind a silence", async () => {
  const it = await setUp({ onVoicemail: "leave_message", message: MESSAGE });
  await it.say("Please leave a message.");
  await it.clock.advance(2_000);
  await it.say("Thank you very much."); // its greeting goes on: the silence begins anew
  await it.clock.advance(2_500);
  assert.equal(it.heard(), "");
  await it.clock.advance(8_000);
  assert.equal(it.heard(), MESSAGE);
  assert.equal(it.ends[0]?.outcome, "voicemail");
  await it.close();
});

Deno.test("a voicemail that pauses behind its name is found out by its beep", async () => {
  const it = await setUp({ onVoicemail: "leave_message", message: MESSAGE });
  await it.say("Peter Miller.");
  await it.clock.advance(1_500);
  void it.stream.say(BEEP);
  await it.clock.advance(10_000);
  assert.deepEqual(it.answeredBy(), ["human", "voicemail"]);
  assert.ok(it.heard().endsWith(MESSAGE), it.heard());
  assert.equal(it.ends[0]?.outcome, "voicemail");
  await it.close();
});

Deno.test("an assistant is told why, and the person behind it is greeted", async () => {
  const it = await setUp({ purpose: PURPOSE });
  await it.say("Please state your name and why you are calling.");
  await it.clock.advance(5_000);
  assert.equal(it.heard(), PURPOSE);
  await it.say("Hello?");
  await it.clock.advance(6_000);
  assert.deepEqual(it.answeredBy(), ["screening", "human"]);
  assert.equal(it.heard(), `${PURPOSE} ${GREETING}`);
  await it.close();
});

Deno.test("a menu is answered by the model, without a greeting", async () => {
  const it = await setUp({ onIvr: "navigate" }, [
    { toolCalls: [{ name: "press_keys", arguments: '{"digits":"2"}' }] },
  ]);
  await it.say("For bread press one. For cakes press two.");
  await it.clock.advance(4_000);
  assert.deepEqual(it.answeredBy(), ["ivr"]);
  assert(it.events.some((event) => event.type === "keys_sent" && event.digits === "2"));
  assert(!it.events.some(({ type }) => type === "agent_said"));
  await it.close();
});

Deno.test("a person who speaks of messages later is no machine", async () => {
  const it = await setUp({});
  await it.say("Hello?");
  await it.clock.advance(7_000);
  await it.say("He is out. Leave a message after lunch.");
  await it.clock.advance(4_000);
  assert.deepEqual(it.answeredBy(), ["human"]);
  assert.equal(it.ends.length, 0);
  await it.close();
});

Deno.test("a person who asks in their first sentence whether a message can be left is greeted", async () => {
  const it = await setUp({});
  await it.say("He is out. Can you leave a message?");
  await it.clock.advance(6_000);
  assert.deepEqual(it.answeredBy(), ["human"]);
  assert.equal(it.heard(), GREETING);
  assert.equal(it.ends.length, 0);
  await it.close();
});

Deno.test("where only the carrier judges, a person is greeted when its word has come", async () => {
  const it = await setUp({ detector: "carrier" });
  await it.say("Please leave a message, just kidding.");
  await it.clock.advance(1_500);
  assert.deepEqual([it.heard(), it.answeredBy()], ["", []]);
  await it.judged("human", 3);
  await it.clock.advance(6_000);
  assert.deepEqual([it.heard(), it.answeredBy()], [GREETING, ["human"]]);
  await it.judged("machine_start"); // late, and another
  await it.clock.advance(2_000);
  assert.deepEqual([it.answeredBy(), it.ends.length], [["human"], 0]);
  await it.close();
});

Deno.test("a carrier whose word does not come is not waited for longer than five seconds", async () => {
  const it = await setUp({ detector: "carrier" });
  await it.say("Hello?");
  await it.clock.advance(4_000);
  assert.equal(it.heard(), "");
  await it.clock.advance(7_000);
  assert.deepEqual([it.heard(), it.answeredBy()], [GREETING, ["unknown"]]);
  await it.close();
});

Deno.test("who still speaks when the carrier's word is overdue is answered behind their words", async () => {
  const it = await setUp({ detector: "carrier" });
  await it.clock.advance(4_500);
  await it.say("Hello? Who is this?");
  await it.clock.advance(7_000);
  assert.deepEqual([it.heard(), it.answeredBy()], [GREETING, ["unknown"]]);
  await it.close();
});

Deno.test("the carrier's beep is a beep: the message is left, and a greeting that has begun breaks off", async () => {
  const settings = { onVoicemail: "leave_message", message: MESSAGE, detector: "both" };
  const it = await setUp(settings);
  await it.say("Peter Miller.");
  await it.clock.advance(1_500);
  assert.match(it.heard(), /^Good/, "taken for a person");
  await it.judged("machine_end_beep", 2);
  await it.clock.advance(8_000);
  assert.deepEqual(it.answeredBy(), ["human", "voicemail"]);
  assert(it.heard().endsWith(MESSAGE), it.heard());
  assert(!it.heard().includes("bakery."), it.heard());
  assert.equal(it.ends[0]?.outcome, "voicemail");
  await it.close();
});

Deno.test("a machine that the carrier has found is waited for to its end, and the agent says nothing before", async () => {
  const settings = { onVoicemail: "leave_message", message: MESSAGE, detector: "carrier" };
  const it = await setUp(settings);
  await it.say("This is Peter.");
  await it.judged("machine_end_silence");
  await it.clock.advance(8_000);
  assert.deepEqual([it.heard(), it.answeredBy()], [MESSAGE, ["voicemail"]]);
  await it.close();
});

Deno.test("a machine is hung up on by the carrier's word alone, and a fax as well", async () => {
  for (const [by, outcome] of [["machine_start", "voicemail"], ["fax", "answered"]] as const) {
    const it = await setUp({ detector: "carrier" });
    await it.clock.advance(1_000);
    await it.judged(by);
    await it.clock.advance(1_000);
    assert.deepEqual([it.heard(), it.ends[0]?.outcome], ["", outcome]);
    await it.close();
  }
});

Deno.test("a carrier whose word overtakes its stream is heeded once there is one", async () => {
  const it = callKit({
    direction: "outbound",
    graph: parseGraph({
      name: "Bakery",
      persona: "You call about cakes.",
      answering: { detector: "carrier" },
      nodes: [
        { type: "start", id: "open", greeting: GREETING, instructions: "Tell them." },
        { type: "end", id: "done", farewell: "Goodbye.", outcome: "told" },
      ],
      edges: [{ from: "open", to: "done", function: "finish", condition: "That is all." }],
    }),
  });
  const { clock } = it.kit;
  const placed = it.call.ask((reply) => ({
    ...{ type: "dial", from: "+15550001", to: "+15550002", reply },
  }));
  await clock.settle();
  await placed;
  it.call.send({ type: "carrierJudged", carrierCallId: "CA1", by: "fax" }); // of another call
  it.call.send({ type: "carrierJudged", carrierCallId: CARRIER_CALL_ID, by: "human" });
  const stream = await it.connect();
  await clock.advance(1_000);
  assert.match(heardWords(stream.player.played())[0]?.text ?? "", /^Good/);
  await it.close();
});
