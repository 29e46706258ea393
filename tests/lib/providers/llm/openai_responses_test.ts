/** OpenAI's Responses API with the official SDK, against a server that speaks its protocol. */

import assert from "node:assert/strict";
import type { LanguageModel, Prompt, PromptMessage } from "@/lib/providers/llm/llm.ts";
import { openaiResponses } from "@/lib/providers/llm/openai_responses.ts";
import { systemClock } from "@/lib/clock.ts";
import { Secret } from "@/lib/secret.ts";
import {
  BRIEF,
  type ModelPair,
  modelSet,
  testModelOverHttp,
} from "@/tests/support/contract_llm_http.ts";
import { type ResponsesRequest, startOpenAIResponses } from "@/tests/support/openai_responses.ts";

const PAIR: ModelPair<ResponsesRequest> = {
  name: "openai responses",
  start: startOpenAIResponses,
  make: (account) => openaiResponses({ ...account, model: "gpt-test" }),
  headEvents: 3,
};
const signal = new AbortController().signal;

testModelOverHttp(PAIR);

Deno.test("openai responses stores nothing, and puts each call's output behind it, also one that was lost", async () => {
  await using set = await modelSet(PAIR, { script: [{ text: "Good." }] });
  const messages: PromptMessage[] = [
    { role: "agent", text: "Hello." },
    { role: "caller", text: "Hi." },
    { role: "toolCall", call: { id: "a", name: "one", arguments: '{"x":1}' } },
    { role: "toolCall", call: { id: "b", name: "two", arguments: "{broken" } },
    { role: "agent", text: "One moment." },
    { role: "toolOutput", callId: "a", output: "first" },
    { role: "toolOutput", callId: "gone", output: "of no call" },
  ];
  await Array.fromAsync(set.model.respond({ ...BRIEF, messages }, signal));
  const [request] = set.server.requests;
  assert.equal(request?.store, false);
  assert.equal(request?.tools, undefined);
  assert.deepEqual(request?.input, [
    { role: "system", content: "Be brief." },
    { role: "assistant", content: "Hello." },
    { role: "user", content: "Hi." },
    { type: "function_call", call_id: "a", name: "one", arguments: '{"x":1}' },
    { type: "function_call_output", call_id: "a", output: "first" },
    { type: "function_call", call_id: "b", name: "two", arguments: "{}" },
    { type: "function_call_output", call_id: "b", output: "" },
    { role: "assistant", content: "One moment." },
  ]);
});

Deno.test("openai responses says why an answer is not whole", async () => {
  for (const finish of ["length", "filtered"] as const) {
    const brain: LanguageModel = {
      provider: "test",
      async *respond() {
        yield { type: "text", text: "I" };
        yield { type: "usage", inputTokens: 3, outputTokens: 1 };
        yield { type: "finished", reason: finish };
      },
    };
    await using server = await disposable(brain);
    const deltas = await Array.fromAsync(server.model.respond(BRIEF, signal));
    assert.deepEqual(deltas, [
      { type: "text", text: "I" },
      { type: "usage", model: "gpt-test", inputTokens: 3, outputTokens: 1 },
      { type: "finished", reason: finish },
    ]);
  }
});

Deno.test("openai responses asks a model that reasons for no temperature, and for no fewer tokens than it may", async () => {
  await using set = await disposable(null, "gpt-5-mini");
  const small: Prompt = { ...BRIEF, maxTokens: 3, temperature: 0.4 };
  await Array.fromAsync(set.model.respond(small, signal));
  const [request] = set.server.requests;
  assert.deepEqual([request?.temperature, request?.max_output_tokens], [undefined, 16]);
});

async function disposable(brain: LanguageModel | null, model = "gpt-test") {
  const server = await startOpenAIResponses(brain === null ? {} : { brain });
  const account = { apiKey: new Secret("sk-test"), baseUrl: server.url, clock: systemClock };
  return {
    server,
    model: openaiResponses({ ...account, model }),
    [Symbol.asyncDispose]: () => server.close(),
  };
}
