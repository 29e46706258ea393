/** Card numbers: nothing of them is kept, neither sound nor words nor keys, wherever they turn up. */

import assert from "node:assert/strict";
import { BYTES_PER_MS, SILENCE } from "@/lib/audio/frame.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import type { ScriptedReply } from "@/lib/providers/llm/simulated.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { FORGOTTEN } from "@/actors/call/rebuild.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { loseMachines, type Loss } from "@/tests/support/lost_machines.ts";

const CARD = "4111111111111111";
const SPOKEN = "4111 1111 1111 1111.";
const CODE = "737";

const graph = parseGraph({
  name: "Payments",
  persona: "You take payments.",
  recording: { consent: "none" },
  nodes: [
    { type: "start", id: "welcome", greeting: "How can I help?", instructions: "Ask." },
    {
      type: "agent",
      id: "card",
      instructions: "Take the card.",
      isSensitive: true,
      variables: [
        { name: "cardNumber", type: "string", description: "Its number." },
        { name: "code", type: "string", description: "Its code." },
      ],
    },
    { type: "agent", id: "after", instructions: "Go on." },
    { type: "end", id: "done", farewell: "Thank you. Goodbye.", outcome: "paid" },
  ],
  edges: [
    { from: "welcome", to: "card", function: "pay", condition: "They want to pay." },
    { from: "card", to: "after", function: "take_card", condition: "The card is there." },
    { from: "after", to: "done", function: "finish", condition: "That is all." },
  ],
});

/** What the model says in turn: it is careless, and says the number again where it should not. */
const SCRIPT: readonly ScriptedReply[] = [
  { toolCalls: [{ name: "pay", arguments: "{}" }] },
  { text: "What is your card number?" },
  { text: `I have ${CARD}. And the code?` },
  { toolCalls: [{ name: "take_card", arguments: `{"cardNumber":"${CARD}","code":"${CODE}"}` }] },
  { text: `Paid with ${SPOKEN} In 2026 it expires.` },
  { toolCalls: [{ name: "finish", arguments: "{}" }] },
];

async function setUp() {
  const it = callKit({ graph, script: SCRIPT, numbers: ["+12125550100", "+12105550100"] });
  const stream = await it.connect();
  const { clock } = it.kit;
  async function say(text: string): Promise<void> {
    void stream.say(speak(text).audio);
    await clock.advance(speak(text).audio.length / BYTES_PER_MS + 7_000);
  }
  await clock.advance(3_000);
  await say("I want to pay.");
  await say(SPOKEN);
  for (const digit of `${CODE}#`) {
    stream.press(digit);
    await clock.advance(300);
  }
  await clock.advance(12_000);
  await say("That is all.");
  await clock.advance(8_000);
  return { ...it, stream, clock };
}

const digitsOf = (text: string): string => text.replace(/[^\d]/g, "");

Deno.test("a planted card number stands in no event and in nothing that is stored of the end", async () => {
  const it = await setUp();
  assert.equal(it.ends[0]?.reason, "agent_hung_up", JSON.stringify(it.events));
  const kept = it.events.filter(({ type }) => type !== "recording_started");
  const texts = kept.map((event) => JSON.stringify(event));
  for (const text of [...texts, JSON.stringify(it.ends), ...it.logged]) {
    assert(!digitsOf(text).includes(CARD.slice(0, 8)), text);
    assert(!/\b737\b/.test(text), text);
  }
  assert.deepEqual(it.ends[0]?.variables, { cardNumber: "(not kept)", code: "(not kept)" });
  const said = it.events.flatMap((it) => it.type === "caller_said" ? [it.text] : []);
  assert.deepEqual(said, ["I want to pay.", "(not kept)", "(not kept)", "That is all."]);
  const agent = it.events.flatMap((it) => it.type === "agent_said" ? [it.text] : []);
  assert.match(agent.join(" "), /Paid with •••• •••• •••• ••••\. In 2026 it expires\./);
  const keys = it.events.flatMap((it) => it.type === "dtmf_pressed" ? [it.digit] : []);
  assert.deepEqual(keys, ["•", "•", "•", "•"]);
  await it.close();
});

Deno.test("the model has heard the number all the same", async () => {
  const prompts: string[] = [];
  const it = callKit({
    graph,
    script(prompt, n) {
      prompts.push(JSON.stringify(prompt.messages));
      return SCRIPT[n] ?? null;
    },
  });
  const stream = await it.connect();
  await it.kit.clock.advance(6_000);
  void stream.say(speak("I want to pay.").audio);
  await it.kit.clock.advance(9_000);
  void stream.say(speak(SPOKEN).audio);
  await it.kit.clock.advance(9_000);
  assert(prompts.some((prompt) => prompt.includes(SPOKEN)));
  await it.close();
});

Deno.test("the recording is silent at the node, and nowhere else", async () => {
  const it = await setUp();
  const { caller, agent } = await it.recordings.sides();
  const wordsOf = (audio: Uint8Array) =>
    heardWords(audio).filter(({ complete }) => complete).map(({ text }) => text).join(" ");
  assert.equal(wordsOf(caller), "I want to pay. That is all.");
  const said = wordsOf(agent);
  assert.match(said, /^How can I help\?/);
  assert.match(said, /Thank you\. Goodbye\.$/);
  assert(!said.includes("card number") && !said.includes("Paid") && !/\d/.test(said), said);
  const types = it.events.map(({ type }) => type).filter((type) => type.startsWith("recording"));
  assert.deepEqual(types, [
    ...["recording_started", "recording_paused", "recording_resumed"], // the node
    ...["recording_paused", "recording_resumed", "recording_stopped"], // the number, said again
  ]);
  const [origin = 0] = it.recordings.origins;
  const lastsMs = caller.length / BYTES_PER_MS;
  assert(
    Math.abs(it.stream.player.endsAtMs() - origin - lastsMs) < 1_000,
    "it is as long as the call",
  );
  assert(caller.some((byte) => byte !== SILENCE));
  await it.close();
});

/** A caller who gives their number, and says it once more where nobody asked for it; machines are lost meanwhile. */
async function losing(losses: readonly Loss[]) {
  const prompts: string[] = [];
  const call = await loseMachines({
    lines: ["I want to pay.", SPOKEN, `It was ${SPOKEN}`],
    losses,
    graph,
    kit: {
      script(prompt) {
        prompts.push(prompt.system);
        const said = JSON.stringify(
          prompt.messages.findLast(({ role }) => role === "caller") ?? "",
        );
        const offers = (name: string): boolean => prompt.tools.some((tool) => tool.name === name);
        if (offers("pay")) return { toolCalls: [{ name: "pay", arguments: "{}" }] };
        if (offers("take_card")) {
          const card = JSON.stringify({ cardNumber: CARD, code: CODE });
          if (said.includes("want to pay")) return { text: "What is your card number?" };
          if (said.includes("not kept")) return { text: "What is it, once more?" };
          return { toolCalls: [{ name: "take_card", arguments: card }] };
        }
        if (!said.includes("It was")) return { text: "Anything else?" };
        return { toolCalls: [{ name: "finish", arguments: "{}" }] };
      },
    },
  });
  for (const event of call.events) {
    const text = JSON.stringify(event);
    assert(!digitsOf(text).includes(CARD.slice(0, 8)) && !/\b737\b/.test(text), text);
  }
  const asked = call.heard.map(({ text }) => text).join(" ").includes("once more?");
  return { ...call, asked, prompts };
}

Deno.test("a number that was given in confidence is asked for again on the next machine, which never knew it", async () => {
  const whole = await losing([]);
  assert(!whole.asked && whole.prompts.every((prompt) => !prompt.includes(FORGOTTEN)));
  const given = whole.events.findIndex((it) =>
    it.type === "caller_said" && it.text !== "I want to pay."
  );
  const lost = await losing([{ atEvent: given + 1, lagMs: 0 }]);
  assert(lost.prompts.at(-1)?.includes(FORGOTTEN));
  assert(lost.asked);
  assert.equal(lost.ends[0]?.variables.cardNumber, "(not kept)");
});

Deno.test("wherever a machine is lost, a number that was given in confidence stands in no event", async () => {
  const whole = await losing([]);
  const after = whole.events.findIndex((it) =>
    it.type === "workflow_moved" && it.workflow.node === "after"
  );
  assert(after > 0);
  for (let atEvent = 1; atEvent < whole.events.length; atEvent++) {
    const { events } = await losing([{ atEvent, lagMs: 0 }]);
    const last = events.findLast((it) => it.type === "caller_said");
    if (atEvent > after) {
      assert.equal(
        last?.type === "caller_said" && last.text.replace(/[\d•]/g, "#"),
        "It was #### #### #### ####.",
      );
    }
  }
});
