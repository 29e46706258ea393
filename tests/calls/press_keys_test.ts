/** Keys that the agent presses: through a machine's menu, and for a person who controls the call. */

import assert from "node:assert/strict";
import { type Command, controlled } from "@/actors/call/control.ts";
import { rebuild } from "@/actors/call/rebuild.ts";
import { AppError } from "@/lib/errors.ts";
import { KeyEar } from "@/lib/audio/dtmf.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import type { ScriptedReply } from "@/lib/providers/llm/simulated.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { CUT_OFF } from "@/actors/call/scene/tones.ts";
import { callKit } from "@/tests/support/call_kit.ts";
import { loseMachines, type Loss } from "@/tests/support/lost_machines.ts";

const AGENT = {
  name: "Courier",
  persona: "You call shops.",
  nodes: [
    {
      type: "start",
      id: "menu",
      greeting: "Good morning, this is the courier.",
      instructions: "Find a person.",
      mayPressKeys: true,
    },
    { type: "end", id: "done", farewell: "Goodbye.", outcome: "reached" },
  ],
  edges: [{ from: "menu", to: "done", function: "finish", condition: "That is all." }],
};

function setUp(
  script: readonly ScriptedReply[],
  node: Readonly<Record<string, unknown>> = {},
) {
  const [menu, done] = AGENT.nodes;
  const it = callKit({
    graph: parseGraph({ ...AGENT, nodes: [{ ...menu, ...node }, done] }),
    script,
  });
  return { ...it, clock: it.kit.clock };
}

type Stream = Awaited<ReturnType<ReturnType<typeof callKit>["connect"]>>;

const keysHeard = (stream: Stream): string => new KeyEar().take(stream.player.played());

async function command(it: ReturnType<typeof setUp>, given: Command): Promise<void> {
  const answered = it.call.ask<void>((reply) => ({
    type: "control",
    command: given,
    by: "key_1",
    reply,
  }));
  await it.clock.settle();
  await answered;
}

const press = (digits: string): ScriptedReply => ({
  toolCalls: [{ name: "press_keys", arguments: JSON.stringify({ digits }) }],
});

Deno.test("the model presses keys, says nothing more, and hears what the machine answers", async () => {
  const it = setUp([press("1w9#"), { text: "A person, please." }]);
  const stream = await it.connect();
  await it.clock.advance(6_000);
  void stream.say(speak("For sales press one.").audio);
  await it.clock.advance(9_000);
  assert.equal(keysHeard(stream), "19#");
  assert(
    it.events.some((event) =>
      event.type === "keys_sent" && event.digits === "1w9#" && event.isComplete
    ),
    JSON.stringify(it.events),
  );
  assert.equal(it.events.filter(({ type }) => type === "agent_said").length, 1, "the greeting");
  void stream.say(speak("How can I help?").audio);
  await it.clock.advance(7_000);
  const said = it.events.flatMap((event) => event.type === "agent_said" ? [event.text] : []);
  assert.deepEqual(said.slice(0, 2), [
    "Good morning, this is the courier.",
    "A person, please.",
  ]);
  await it.close();
});

Deno.test("keys wait until the agent has spoken, and a voice does not break them off", async () => {
  const it = setUp([{ text: "I am here." }]);
  const stream = await it.connect();
  await it.clock.advance(500); // the greeting is being said
  await command(it, { type: "pressKeys", keys: "0123456789" });
  await it.clock.advance(2_500);
  void stream.say(speak("Stop it now please.").audio);
  await it.clock.advance(9_000);
  assert.equal(keysHeard(stream), "0123456789");
  const greeting = heardWords(stream.player.played()).find(({ text }) => text.includes("courier"));
  assert(greeting?.complete, "the greeting is whole");
  const kinds = it.events.map(({ type }) => type);
  assert(kinds.indexOf("agent_said") < kinds.indexOf("keys_sent"));
  await it.close();
});

Deno.test("a node that may not press keys has no such function, and a model that calls it is told", async () => {
  const tools: string[] = [];
  const other = callKit({
    graph: parseGraph({
      ...AGENT,
      nodes: [{ ...AGENT.nodes[0], mayPressKeys: false }, AGENT.nodes[1]],
    }),
    script(prompt, n) {
      tools.push(...prompt.tools.map(({ name }) => name));
      return n === 0 ? press("1") : { text: "Hello." };
    },
  });
  const stream = await other.connect();
  await other.kit.clock.advance(6_000);
  void stream.say(speak("For sales press one.").audio);
  await other.kit.clock.advance(9_000);
  assert.deepEqual([...new Set(tools)], ["finish"]);
  assert.equal(keysHeard(stream), "");
  const output = other.events.flatMap((it) => it.type === "tool_called" ? [it.output] : []);
  assert.match(output[0] ?? "", /^Error: There is no such function here/);
  await other.close();
});

Deno.test("of keys at a sensitive node only their number is kept", async () => {
  const it = setUp([press("4111")], { isSensitive: true });
  const stream = await it.connect();
  await it.clock.advance(6_000);
  void stream.say(speak("Key in your card.").audio);
  await it.clock.advance(8_000);
  assert.equal(keysHeard(stream), "4111");
  assert(it.events.some((event) => event.type === "keys_sent" && event.digits === "••••"));
  assert(!JSON.stringify(it.events).includes("4111"));
  await it.close();
});

Deno.test("nothing is pressed on a line that is being hung up", async () => {
  const it = setUp([]);
  const stream = await it.connect();
  await it.clock.advance(500);
  await command(it, { type: "pressKeys", keys: "55" });
  it.call.send({ type: "hangUp" });
  await it.clock.advance(6_000);
  assert.equal(keysHeard(stream), "");
  assert(!it.events.some(({ type }) => type === "keys_sent"));
  await it.close();
});

/** A menu's voice, and a person behind it; machines are lost meanwhile. */
async function losing(losses: readonly Loss[]) {
  const prompts: string[] = [];
  const call = await loseMachines({
    lines: ["For sales press one.", "How can I help?"],
    losses,
    graph: parseGraph(AGENT),
    kit: {
      script(prompt) {
        prompts.push(prompt.system);
        const last = prompt.messages.findLast(({ role }) => role === "caller");
        const isMenu = JSON.stringify(last ?? "").includes("press one");
        return isMenu ? press("19#") : { text: "A person, please." };
      },
    },
  });
  return { ...call, prompts, keys: call.streams.map(keysHeard).join("") };
}

Deno.test("keys that wait as a machine is lost are pressed by the next one; those that were begun are not pressed twice", async () => {
  const whole = await losing([]);
  assert.equal(whole.keys, "19#");
  const called = whole.events.findIndex(({ type }) => type === "tool_called") + 1;
  assert.equal(whole.events[called]?.type, "keys_begun");

  const before = await losing([{ atEvent: called, lagMs: 0 }]);
  assert.equal(before.keys, "19#");
  assert(before.prompts.every((prompt) => !prompt.includes(CUT_OFF)));

  const begun = await losing([{ atEvent: called + 1, lagMs: 0 }]);
  assert.equal(begun.keys, "", "nobody knows, but we");
  const sent = begun.events.flatMap((it) => it.type === "keys_sent" ? [it] : []);
  assert.deepEqual(sent, [{ type: "keys_sent", digits: "19#", isComplete: false }]);
  assert(begun.prompts.at(-1)?.includes(CUT_OFF), "the model is told");
  const again = await losing([{ atEvent: called + 1, lagMs: 0 }, {
    atEvent: called + 5,
    lagMs: 0,
  }]);
  assert(again.prompts.at(-1)?.includes(CUT_OFF), "on every machine after");
});

Deno.test("wherever a machine is lost, no key is pressed twice", async () => {
  const whole = await losing([]);
  for (let atEvent = 1; atEvent < whole.events.length; atEvent++) {
    const { keys } = await losing([{ atEvent, lagMs: 0 }]);
    assert("19#".startsWith(keys), `${keys}, lost at ${atEvent}`);
  }
});

Deno.test("keys that somebody of the company has pressed wait on the next machine as well", () => {
  const graph = parseGraph(AGENT);
  const { dialogue } = rebuild([
    { type: "call_started", direction: "inbound" },
    controlled({ type: "pressKeys", keys: "12" }, "key_1"),
    controlled({ type: "pressKeys", keys: "3" }, "key_1"),
  ], graph);
  assert.equal(dialogue.keysToSend, "123");
  const lost = rebuild([
    { type: "call_started", direction: "inbound" },
    { ...controlled({ type: "pressKeys", keys: "12" }, "key_1"), text: "••" },
  ], graph).dialogue;
  assert.equal(lost.keysToSend, "");
  assert.match(lost.notes.join(), /were not: which they were is not known/);
});

Deno.test("no tone begins before it is on record that keys are pressed; where that cannot be, they are", async () => {
  for (const fails of [false, true]) {
    const flushed = Promise.withResolvers<void>();
    const it = callKit({
      graph: parseGraph(AGENT),
      script: [],
      deps: { handOver: { flush: () => flushed.promise, release: () => Promise.resolve() } },
    });
    const stream = await it.connect();
    await it.kit.clock.advance(6_000);
    const asked = it.call.ask<void>((reply) => ({
      ...{ type: "control", command: { type: "pressKeys", keys: "42" }, by: "key_1", reply },
    }));
    await it.kit.clock.advance(1_000);
    await asked;
    assert.equal(it.events.at(-1)?.type, "keys_begun");
    assert.equal(keysHeard(stream), "");
    if (fails) flushed.reject(new AppError("database_unavailable", "Away"));
    else flushed.resolve();
    await it.kit.clock.advance(3_000);
    assert.equal(keysHeard(stream), "42");
    await it.close();
  }
});
