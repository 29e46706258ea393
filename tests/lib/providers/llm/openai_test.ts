/** The OpenAI adapter with the official SDK, against a server that speaks its protocol. */

import assert from "node:assert/strict";
import type { Prompt, PromptMessage } from "@/lib/providers/llm/llm.ts";
import { openai } from "@/lib/providers/llm/openai.ts";
import {
  BRIEF,
  type ModelPair,
  modelSet,
  testModelOverHttp,
} from "@/tests/support/contract_llm_http.ts";
import { type ChatRequest, startOpenAI } from "@/tests/support/openai.ts";

const PAIR: ModelPair<ChatRequest> = {
  name: "openai",
  start: startOpenAI,
  make: (account) => openai({ ...account, model: "gpt-test" }),
  headEvents: 1,
};

const prompt: Prompt = { ...BRIEF, messages: [] };
const signal = new AbortController().signal;

testModelOverHttp(PAIR);

Deno.test("openai puts outputs right behind the calls of one message, wherever they were told", async () => {
  await using set = await modelSet(PAIR, { script: [{ text: "Good." }] });
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
  await using set = await modelSet(PAIR, { script: [{ text: "A" }, { text: "B" }] });
  const tool = { name: "go", description: "Go on.", parameters: { type: "object" } };
  await Array.fromAsync(set.model.respond(prompt, signal));
  await Array.fromAsync(set.model.respond({ ...prompt, tools: [tool] }, signal));
  const [without, with_] = set.server.requests;
  assert.deepEqual([without?.tools, without?.parallel_tool_calls], [undefined, undefined]);
  assert.deepEqual(with_?.tools, [{ type: "function", function: tool }]);
  assert.equal(with_?.parallel_tool_calls, false);
  assert.deepEqual([with_?.max_tokens, with_?.temperature, with_?.model], [50, 0, "gpt-test"]);
});

Deno.test("openai takes a reply as whole when only its usage is lost", async () => {
  await using set = await modelSet(PAIR, { script: [{ text: "Yes." }] });
  set.server.behave({ type: "lost", afterChunks: 3 }); // role, text, finish_reason
  const deltas = await Array.fromAsync(set.model.respond(prompt, signal));
  assert.deepEqual(deltas, [
    { type: "text", text: "Yes." },
    { type: "finished", reason: "stop" },
  ]);
});
