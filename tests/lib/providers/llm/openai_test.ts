/** The OpenAI adapter with the official SDK, against a server that speaks its protocol. */

import assert from "node:assert/strict";
import { type Clock, systemClock } from "@/lib/clock.ts";
import type { LanguageModel, ModelDelta, Prompt, PromptMessage } from "@/lib/providers/llm/llm.ts";
import { openai } from "@/lib/providers/llm/openai.ts";
import { type Script, simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { Secret } from "@/lib/secret.ts";
import { demoAgent, demoCaller } from "@/lib/workflow/demo.ts";
import { type ProviderBehaviour, testLanguageModel } from "@/tests/support/contract_llm.ts";
import { type OpenAIBehaviour, type OpenAIServer, startOpenAI } from "@/tests/support/openai.ts";
import { talk } from "@/tests/support/text_call.ts";

const prompt: Prompt = {
  system: "Be brief.",
  messages: [],
  tools: [],
  maxTokens: 50,
  temperature: 0,
};
const signal = new AbortController().signal;

interface Set extends AsyncDisposable {
  readonly server: OpenAIServer;
  readonly model: LanguageModel;
}

async function setUp(
  { script, limitMs = 60_000, apiKey = "sk-test", clock = systemClock }: {
    clock?: Clock;
    script?: Script;
    limitMs?: number;
    apiKey?: string;
  } = {},
): Promise<Set> {
  const server = await startOpenAI({
    brain: simulatedModel({
      clock: systemClock,
      firstTokenMs: 0,
      tokenMs: 0,
      ...(script ? { script } : {}),
    }),
  });
  const model = openai({
    apiKey: new Secret(apiKey),
    baseUrl: server.url,
    model: "gpt-test",
    clock,
    firstTokenMs: limitMs,
    gapMs: limitMs,
  });
  return { server, model, [Symbol.asyncDispose]: () => server.close() };
}

testLanguageModel("openai", async (behaviour) => {
  const { server, model } = await setUp({ limitMs: behaviour.type === "hang" ? 40 : 60_000 });
  server.behave(toServer(behaviour));
  return { model, close: () => server.close() };
});

function toServer(behaviour: ProviderBehaviour): OpenAIBehaviour {
  switch (behaviour.type) {
    case "good":
      return { type: "answer" };
    case "status":
      return behaviour;
    case "broken":
      return { type: "lost", afterChunks: 3 };
    case "garbage":
      return { type: "garbage", kind: "json" };
    case "hang":
      return { type: "hang", afterChunks: behaviour.afterText ? 3 : null };
  }
}

Deno.test("openai holds a whole call over HTTP, as the model behind the server would alone", async () => {
  await using set = await setUp();
  const overHttp = await talk({ graph: demoAgent, model: set.model }, demoCaller);
  const clock = systemClock;
  const alone = simulatedModel({ clock, firstTokenMs: 0, tokenMs: 0 });
  const direct = await talk({ graph: demoAgent, model: alone }, demoCaller);
  assert.deepEqual(overHttp, direct);
  assert.equal(overHttp.state.outcome, "booked");
});

Deno.test("openai puts outputs right behind the calls of one message, wherever they were told", async () => {
  await using set = await setUp({ script: [{ text: "Good." }] });
  const messages: PromptMessage[] = [
    { role: "agent", text: "Hello." },
    { role: "caller", text: "Hi." },
    { role: "toolCall", call: { id: "a", name: "one", arguments: '{"x":1}' } },
    { role: "toolCall", call: { id: "b", name: "two", arguments: "{broken" } },
    { role: "agent", text: "One moment." },
    { role: "toolOutput", callId: "b", output: "second" },
    { role: "toolOutput", callId: "a", output: "first" },
  ];
  await Array.fromAsync(set.model.respond({ ...prompt, messages }, signal));
  assert.deepEqual(set.server.requests[0]?.messages, [
    { role: "system", content: "Be brief." },
    { role: "assistant", content: "Hello." },
    { role: "user", content: "Hi." },
    {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "a", type: "function", function: { name: "one", arguments: '{"x":1}' } },
        { id: "b", type: "function", function: { name: "two", arguments: "{}" } },
      ],
    },
    { role: "tool", tool_call_id: "a", content: "first" },
    { role: "tool", tool_call_id: "b", content: "second" },
    { role: "assistant", content: "One moment." },
  ]);
});

Deno.test("openai asks for no parallel calls, and names no tools where there are none", async () => {
  await using set = await setUp({ script: [{ text: "A" }, { text: "B" }] });
  const tool = { name: "go", description: "Go on.", parameters: { type: "object" } };
  await Array.fromAsync(set.model.respond(prompt, signal));
  await Array.fromAsync(set.model.respond({ ...prompt, tools: [tool] }, signal));
  const [without, with_] = set.server.requests;
  assert.deepEqual([without?.tools, without?.parallel_tool_calls], [undefined, undefined]);
  assert.deepEqual(with_?.tools, [{ type: "function", function: tool }]);
  assert.equal(with_?.parallel_tool_calls, false);
  assert.deepEqual([with_?.max_tokens, with_?.temperature, with_?.model], [50, 0, "gpt-test"]);
});

Deno.test("openai puts several calls together from interleaved text and awkward pieces", async () => {
  const toolCalls = [
    { name: "one", arguments: JSON.stringify({ name: "Zoë Müller 🦷", note: '"quoted"\n' }) },
    { name: "two", arguments: "{}" },
  ];
  await using set = await setUp({ script: [{ text: "Grüße, Zoë 🦷!", toolCalls }] });
  const deltas = await Array.fromAsync(set.model.respond(prompt, signal));
  const text = deltas.map((delta) => delta.type === "text" ? delta.text : "").join("");
  const calls = deltas.flatMap((delta) => delta.type === "toolCall" ? [delta.call] : []);
  assert.equal(text, "Grüße, Zoë 🦷!");
  assert.deepEqual(
    calls.map(({ name, arguments: json }) => ({ name, arguments: json })),
    toolCalls,
  );
  assert.equal(new Set(calls.map((call) => call.id)).size, 2);
});

for (const kind of ["shape", "html", "error"] as const) {
  Deno.test(`openai fails on an answer that is wrong in another way: ${kind}`, async () => {
    await using set = await setUp();
    set.server.behave({ type: "garbage", kind });
    await assert.rejects(Array.fromAsync(set.model.respond(prompt, signal)), {
      code: "provider_failed",
    });
  });
}

Deno.test("openai fails when an answer ends without its end", async () => {
  await using set = await setUp();
  set.server.behave({ type: "short", afterChunks: 2 });
  await assert.rejects(Array.fromAsync(set.model.respond(prompt, signal)), {
    code: "provider_failed",
    retryable: true,
  });
});

Deno.test("openai takes a reply as whole when only its usage is lost", async () => {
  await using set = await setUp({ script: [{ text: "Yes." }] });
  set.server.behave({ type: "lost", afterChunks: 3 }); // role, text, finish_reason
  const deltas = await Array.fromAsync(set.model.respond(prompt, signal));
  assert.deepEqual(deltas, [
    { type: "text", text: "Yes." },
    { type: "finished", reason: "stop" },
  ]);
});

Deno.test("openai fails when nobody listens at its address", async () => {
  const set = await setUp();
  await set.server.close();
  await assert.rejects(Array.fromAsync(set.model.respond(prompt, signal)), {
    code: "provider_failed",
    retryable: true,
  });
});

Deno.test("openai hangs up on the server when aborted, while it waits", async () => {
  for (const afterChunks of [null, 2]) {
    await using set = await setUp({ script: [{ text: "One two three four five." }] });
    set.server.behave({ type: "hang", afterChunks });
    const controller = new AbortController();
    const reason = new Error("barge-in");
    const reading = Array.fromAsync(set.model.respond(prompt, controller.signal));
    while (set.server.requests.length === 0) await set.server.change();
    controller.abort(reason);
    await assert.rejects(reading, reason);
    while (set.server.lastEnd === undefined) await set.server.change();
    assert.equal(set.server.lastEnd, "hungUp");
  }
});

Deno.test("openai counts only its own waiting, not that of a slow reader", async () => {
  let armedCount = 0;
  const clock: Clock = {
    ...systemClock,
    timer(ms, callback) {
      const cancel = systemClock.timer(ms, callback);
      let isArmed = true;
      armedCount++;
      return () => {
        if (isArmed) armedCount--;
        isArmed = false;
        cancel();
      };
    },
  };
  await using set = await setUp({ script: [{ text: "One two three." }], clock });
  const deltas: ModelDelta[] = [];
  for await (const delta of set.model.respond(prompt, signal)) {
    deltas.push(delta);
    assert.equal(armedCount, 0);
  }
  assert.equal(deltas.at(-1)?.type, "finished");
});

Deno.test("openai shows no key in what it throws", async () => {
  await using set = await setUp({ apiKey: "sk-secret-1" });
  const error = await Array.fromAsync(set.model.respond(prompt, signal)).catch((error) => error);
  assert.equal(error.status, 401);
  assert.doesNotMatch(Deno.inspect(error, { depth: 9 }), /sk-/);
});
