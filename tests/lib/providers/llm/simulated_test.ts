/** The simulated model: the contract, its rules, its script and its pace. */

import assert from "node:assert/strict";
import { type Clock, systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Prompt, PromptMessage, Tool } from "@/lib/providers/llm/llm.ts";
import { type ScriptedReply, simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { type ProviderBehaviour, testLanguageModel } from "@/tests/support/contract_llm.ts";

const signal = new AbortController().signal;

testLanguageModel("the simulated model", (behaviour) => {
  const reply = toReply(behaviour);
  const script = reply === null ? [] : [reply];
  const model = simulatedModel({ clock: systemClock, firstTokenMs: 0, tokenMs: 0, script });
  return Promise.resolve({ model, close: () => Promise.resolve() });
});

/** It has no provider that could fail it, so what an adapter would make of one is scripted. */
function toReply(behaviour: ProviderBehaviour): ScriptedReply | null {
  const fail = (options: { status?: number; retryable: boolean }): AppError =>
    new AppError("provider_failed", 'Provider "simulated" failed: as told', options);
  switch (behaviour.type) {
    case "good":
      return null;
    case "status":
      return { error: fail({ status: behaviour.status, retryable: behaviour.status !== 401 }) };
    case "broken":
      return { text: "Is it", error: fail({ retryable: true }) };
    case "garbage":
      return { error: fail({ retryable: false }) };
    case "hang":
      return { text: behaviour.afterText ? "Is it" : "", error: fail({ retryable: true }) };
  }
}

async function reply(
  tools: readonly Tool[],
  messages: readonly PromptMessage[],
  system = "",
): Promise<{ text: string; calls: readonly { name: string; arguments: unknown }[] }> {
  const prompt: Prompt = { system, messages, tools, maxTokens: 100, temperature: 0 };
  let text = "";
  const calls: { name: string; arguments: unknown }[] = [];
  const model = simulatedModel({ clock: systemClock, firstTokenMs: 0, tokenMs: 0 });
  for await (const delta of model.respond(prompt, signal)) {
    if (delta.type === "text") text += delta.text;
    if (delta.type !== "toolCall") continue;
    calls.push({ name: delta.call.name, arguments: JSON.parse(delta.call.arguments) });
  }
  return { text, calls };
}

function tool(
  name: string,
  description: string,
  properties: Readonly<Record<string, unknown>> = {},
  required: readonly string[] = Object.keys(properties),
): Tool {
  return { name, description, parameters: { type: "object", properties, required } };
}

function slot(description: string, ask: string, more: object = { type: "string" }): unknown {
  return { description: `${description} Ask: "${ask}"`, ...more };
}

const SLOTS: readonly (readonly [string, unknown, string, unknown])[] = [
  ["name", slot("The caller's name.", "Who?"), "My name is Ada Byron, hello", "Ada Byron"],
  ["name", slot("The caller's name.", "Who?"), "my name is ada byron and I am ill", "ada byron"],
  ["name", slot("The caller's name.", "Who?"), "This is Jan van der Berg.", "Jan van der Berg"],
  ["name", slot("The caller's name.", "Who?"), "I'm Zoë.", "Zoë"],
  ["name", slot("The caller's name.", "Who?"), "Mary Ann O'Neill.", "Mary Ann O'Neill"],
  ["name", slot("The caller's name.", "Who?"), "It's Bob!", "Bob"],
  ["name", slot("The caller's name.", "Who?"), "Thursday", null],
  ["name", slot("The caller's name.", "Who?"), "Yes.", null],
  ["name", slot("The caller's name.", "Who?"), "why do you ask", null],
  ["day", slot("The day.", "When?"), "next Monday please", "next Monday"],
  ["day", slot("The day.", "When?"), "The day after tomorrow", "the day after tomorrow"],
  ["day", slot("The day.", "When?"), "on May 3rd, or so", "May 3rd"],
  ["day", slot("The day.", "When?"), "the 12th of June", "the 12th of June"],
  ["day", slot("The day.", "When?"), "it hurts since Monday", null],
  ["time", slot("The time.", "When?"), "Half past nine", "half past nine"],
  ["time", slot("The time.", "When?"), "at 3 pm", "3 pm"],
  ["time", slot("The time.", "When?"), "10:30 is fine", "10:30"],
  ["time", slot("The time.", "When?"), "quarter to ten", "quarter to ten"],
  ["time", slot("The time.", "When?"), "ten o'clock", "ten o'clock"],
  ["time", slot("The time.", "When?"), "Nine.", "nine"],
  ["time", slot("The time.", "When?"), "whenever", null],
  ["new", slot("New here.", "New?", { type: "boolean" }), "No, it is my second time", false],
  ["new", slot("New here.", "New?", { type: "boolean" }), "I haven't been", false],
  ["new", slot("New here.", "New?", { type: "boolean" }), "Yes, why not", true],
  ["new", slot("New here.", "New?", { type: "boolean" }), "Blue", null],
  ["count", slot("How many.", "How many?", { type: "number" }), "we are four", 4],
  ["count", slot("How many.", "How many?", { type: "number" }), "12.5 of them", 12.5],
  ["count", slot("How many.", "How many?", { type: "number" }), "a few", null],
  [
    "kind",
    slot("Kind.", "What?", { type: "string", enum: ["check up", "pain"] }),
    "A check-up.",
    "check up",
  ],
  ["kind", slot("Kind.", "What?", { type: "string", enum: ["check up", "pain"] }), "painful", null],
  ["reason", slot("Why.", "Why?"), "Because it hurts.", "Because it hurts"],
];

for (const [name, schema, answer, value] of SLOTS) {
  const outcome = value === null ? "nothing, and asks again" : JSON.stringify(value);
  const kind = JSON.stringify(schema).includes("enum") ? "choice" : name;
  Deno.test(`the simulated model reads as ${kind} in "${answer}": ${outcome}`, async () => {
    const ask = /Ask: \\"(.+?)\\"/.exec(JSON.stringify(schema))?.[1] ?? "";
    const { text, calls } = await reply([tool("go_on", "Known.", { [name]: schema })], [
      { role: "agent", text: ask },
      { role: "caller", text: answer },
    ]);
    if (value === null) assert.equal(text, `Sorry, I did not catch that. ${ask}`);
    else assert.deepEqual(calls, [{ name: "go_on", arguments: { [name]: value } }]);
  });
}

const name = slot("The caller's name.", "What is your name, please?");
const number = slot("Number.", "How many are you?", { type: "number" });

Deno.test("the simulated model understands a question that the caller cut off", async () => {
  const { calls } = await reply([tool("go_on", "Known.", { name })], [
    { role: "agent", text: "Thank you. What is your" },
    { role: "caller", text: "Ada" },
  ]);
  assert.deepEqual(calls, [{ name: "go_on", arguments: { name: "Ada" } }]);
});

Deno.test("the simulated model takes what the caller corrected last", async () => {
  const { calls } = await reply([tool("go_on", "Known.", { name, number })], [
    { role: "caller", text: "This is Ada." },
    { role: "agent", text: "How many are you?" },
    { role: "caller", text: "Sorry, my name is Grace Hopper." },
    { role: "agent", text: "How many are you?" },
    { role: "caller", text: "Two." },
  ]);
  assert.deepEqual(calls, [{ name: "go_on", arguments: { name: "Grace Hopper", number: 2 } }]);
});

Deno.test("the simulated model asks twice at most, then makes do", async () => {
  const { calls } = await reply([tool("go_on", "Known.", { name, number })], [
    { role: "agent", text: "What is your name, please?" },
    { role: "caller", text: "guess" },
    { role: "agent", text: "What is your name, please?" },
    { role: "caller", text: "no idea!" },
    { role: "agent", text: "How many are you?" },
    { role: "caller", text: "some" },
    { role: "agent", text: "How many are you?" },
    { role: "caller", text: "a lot" },
  ]);
  assert.deepEqual(calls, [{ name: "go_on", arguments: { name: "no idea", number: 0 } }]);
});

Deno.test("the simulated model does not repeat a call that was refused in this turn", async () => {
  const call = { id: "call_1", name: "go_on", arguments: '{"name":"Ada"}' };
  const messages: PromptMessage[] = [
    { role: "agent", text: "What is your name, please?" },
    { role: "caller", text: "Ada" },
    { role: "toolCall", call },
    { role: "toolOutput", callId: "call_1", output: "Error: no" },
  ];
  const { text, calls } = await reply([tool("go_on", "Known.", { name })], messages);
  assert.deepEqual(calls, []);
  assert.equal(text, "Sorry, I did not catch that. What is your name, please?");
});

const EDGES = [
  tool("book", "The caller wants an appointment.", { name }),
  tool("give_up", 'The caller gives up: "never mind", "goodbye".', { name }, []),
];

Deno.test("the simulated model takes the edge whose words the caller says", async () => {
  const said = (text: string): Promise<unknown> => reply(EDGES, [{ role: "caller", text }]);
  assert.deepEqual(await said("Oh, never mind."), {
    text: "",
    calls: [{ name: "give_up", arguments: {} }],
  });
  assert.deepEqual(await said("An appointment, please. I'm Ada."), {
    text: "",
    calls: [{ name: "book", arguments: { name: "Ada" } }],
  });
  assert.deepEqual(await said("Hm."), { text: "What is your name, please?", calls: [] });
});

Deno.test("the simulated model says what the instructions quote, then decides by the answer", async () => {
  const system = 'You are kind.\n\nYour task now:\nConfirm: "Shall I book it?"';
  const edges = [tool("confirm", '"yes", "correct"'), tool("change", '"no", "other"')];
  const entered: PromptMessage[] = [
    { role: "caller", text: "Yes, at nine." },
    { role: "toolCall", call: { id: "call_1", name: "set", arguments: "{}" } },
    { role: "toolOutput", callId: "call_1", output: "Done." },
  ];
  assert.deepEqual(await reply(edges, entered, system), { text: "Shall I book it?", calls: [] });
  const answered: PromptMessage[] = [
    ...entered,
    { role: "agent", text: "Shall I book it?" },
    { role: "caller", text: "No, wait." },
  ];
  assert.deepEqual((await reply(edges, answered, system)).calls, [
    { name: "change", arguments: {} },
  ]);
});

Deno.test("the simulated model follows its script, and then the rules", async () => {
  const script: ScriptedReply[] = [
    { text: "One." },
    { toolCalls: [{ name: "a", arguments: "{}" }, { name: "b", arguments: "nonsense" }] },
  ];
  const model = simulatedModel({ clock: systemClock, firstTokenMs: 0, tokenMs: 0, script });
  const messages: PromptMessage[] = [
    { role: "toolCall", call: { id: "call_1", name: "z", arguments: "{}" } },
  ];
  const prompt = { system: "", messages, tools: [], maxTokens: 9, temperature: 0 };
  const next = async (): Promise<unknown[]> =>
    (await Array.fromAsync(model.respond(prompt, signal))).filter(({ type }) => type !== "usage");
  assert.deepEqual(await next(), [
    { type: "text", text: "One." },
    { type: "finished", reason: "stop" },
  ]);
  assert.deepEqual(await next(), [
    { type: "toolCall", call: { id: "call_2", name: "a", arguments: "{}" } },
    { type: "toolCall", call: { id: "call_3", name: "b", arguments: "nonsense" } },
    { type: "finished", reason: "toolCalls" },
  ]);
  assert.deepEqual((await next()).at(0), { type: "text", text: "How" });
});

Deno.test("the simulated model keeps the pace it is given, on the clock it is given", async () => {
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    timer(ms, callback) {
      waits.push(ms);
      queueMicrotask(callback);
      return () => {};
    },
  };
  const script = [{ text: "One two three." }, { text: "One", firstTokenMs: 7 }];
  const model = simulatedModel({ clock, firstTokenMs: 300, tokenMs: 20, script });
  const prompt = { system: "", messages: [], tools: [], maxTokens: 9, temperature: 0 };
  await Array.fromAsync(model.respond(prompt, signal));
  await Array.fromAsync(model.respond(prompt, signal));
  assert.deepEqual(waits, [300, 20, 20, 7]);
});

Deno.test("the simulated model ends a hang at once when it is aborted", async () => {
  const script = [{ text: "Well", hang: true }];
  const model = simulatedModel({ clock: systemClock, firstTokenMs: 0, tokenMs: 0, script });
  const controller = new AbortController();
  const prompt = { system: "", messages: [], tools: [], maxTokens: 9, temperature: 0 };
  const reading = Array.fromAsync(model.respond(prompt, controller.signal));
  const reason = new Error("barge-in");
  controller.abort(reason);
  await assert.rejects(reading, reason);
});
