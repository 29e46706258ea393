/** The Anthropic adapter with the official SDK, against a server as strict as the real one. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { systemClock } from "@/lib/clock.ts";
import { anthropic } from "@/lib/providers/llm/anthropic.ts";
import type { PromptMessage } from "@/lib/providers/llm/llm.ts";
import { Secret } from "@/lib/secret.ts";
import { type MessagesRequest, startAnthropic } from "@/tests/support/anthropic.ts";
import {
  BRIEF,
  type ModelPair,
  modelSet,
  testModelOverHttp,
} from "@/tests/support/contract_llm_http.ts";

const PAIR: ModelPair<MessagesRequest> = {
  name: "anthropic",
  start: startAnthropic,
  make: (account) => anthropic({ ...account, model: "claude-test" }),
  headEvents: 3,
};
const signal = new AbortController().signal;

testModelOverHttp(PAIR);

const SILENT = { type: "text", text: "(The caller says nothing.)" };

Deno.test("anthropic merges roles, begins and ends with the caller, and puts results right behind their calls", async () => {
  await using set = await modelSet(PAIR, { script: [{ text: "Good." }] });
  const messages: PromptMessage[] = [
    { role: "agent", text: "Hello." },
    { role: "agent", text: " " },
    { role: "caller", text: "Hi." },
    { role: "caller", text: "It's me." },
    { role: "agent", text: "One moment." },
    { role: "toolCall", call: { id: "a", name: "one", arguments: '{"x":1}' } },
    { role: "toolCall", call: { id: "functions.two:0", name: "two", arguments: "[1]" } },
    { role: "caller", text: "Well?" },
    { role: "toolOutput", callId: "functions.two:0", output: "second" },
    { role: "agent", text: "Done." },
  ];
  const tool = { name: "go", description: "Go on.", parameters: { type: "object" } };
  await Array.fromAsync(set.model.respond({ ...BRIEF, tools: [tool], messages }, signal));
  const [request] = set.server.requests;
  assert.deepEqual(request?.messages, [
    { role: "user", content: [SILENT] },
    { role: "assistant", content: [{ type: "text", text: "Hello." }] },
    {
      role: "user",
      content: [{ type: "text", text: "Hi." }, { type: "text", text: "It's me." }],
    },
    {
      role: "assistant",
      content: [
        { type: "text", text: "One moment." },
        { type: "tool_use", id: "a", name: "one", input: { x: 1 } },
        { type: "tool_use", id: "functions_two_0", name: "two", input: {} },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "a" },
        { type: "tool_result", tool_use_id: "functions_two_0", content: "second" },
        { type: "text", text: "Well?" },
      ],
    },
    { role: "assistant", content: [{ type: "text", text: "Done." }] },
    { role: "user", content: [SILENT] },
  ]);
  assert.deepEqual(request?.tool_choice, { type: "auto", disable_parallel_tool_use: true });
  assert.equal(request?.max_tokens, 50);
});

Deno.test("anthropic is sent no conversation that it would refuse, whatever was said in which order", async () => {
  await using set = await modelSet(PAIR, { script: Array(100).fill({ text: "Yes." }) });
  const id = fc.constantFrom("a", "b", "c.1");
  const message = fc.oneof(
    fc.record({ role: fc.constantFrom("caller" as const, "agent" as const), text: fc.string() }),
    id.map((id): PromptMessage => (
      { role: "toolCall", call: { id, name: "go", arguments: "" } }
    )),
    id.map((callId): PromptMessage => ({ role: "toolOutput", callId, output: "out" })),
  );
  // An id is that of one call.
  const conversation = fc.array(message, { maxLength: 8 }).map((messages) => {
    const seen = new Set<string>();
    return messages.filter((it) =>
      it.role !== "toolCall" || (!seen.has(it.call.id) && seen.add(it.call.id))
    );
  });
  await fc.assert(
    fc.asyncProperty(conversation, async (messages) => {
      const deltas = await Array.fromAsync(set.model.respond({ ...BRIEF, messages }, signal));
      assert.equal(deltas.at(-1)?.type, "finished");
    }),
    { seed: 3, numRuns: 100 },
  );
});

Deno.test("anthropic counts what was read from its cache as read", async () => {
  await using set = await modelSet(PAIR, { script: [{ text: "Yes." }] });
  const deltas = await Array.fromAsync(set.model.respond(BRIEF, signal));
  const usage = deltas.find(({ type }) => type === "usage");
  assert.ok(usage?.type === "usage");
  assert.equal(usage.inputTokens, 35); // 20 anew, 5 written, 10 read
});

Deno.test("anthropic's tools of the past are named where a prompt offers none", async () => {
  await using set = await modelSet(PAIR, { script: [{ text: "Yes." }] });
  const messages: PromptMessage[] = [
    { role: "caller", text: "Book it." },
    { role: "toolCall", call: { id: "a", name: "book", arguments: "{}" } },
    { role: "toolOutput", callId: "a", output: "booked" },
  ];
  await Array.fromAsync(set.model.respond({ ...BRIEF, messages }, signal));
  const [request] = set.server.requests;
  assert.deepEqual(request?.tools?.map(({ name }) => name), ["book"]);
  assert.deepEqual(request?.tool_choice, { type: "none" });
});

Deno.test("anthropic is told not to think, but where it refuses to hear that", async () => {
  for (
    const [model, thinking] of [["claude-haiku", { type: "disabled" }], [
      "claude-fable-5",
      undefined,
    ]]
  ) {
    await using server = await modelSet({
      ...PAIR,
      make: (account) => anthropic({ ...account, model: String(model) }),
    }, { script: [{ text: "Yes." }] });
    await Array.fromAsync(server.model.respond(BRIEF, signal));
    assert.deepEqual(server.server.requests[0]?.thinking, thinking);
  }
});

Deno.test("anthropic's overload in mid-stream is worth another try, and has a status", async () => {
  await using set = await modelSet(PAIR);
  set.server.behave({ type: "garbage", kind: "error" });
  await assert.rejects(Array.fromAsync(set.model.respond(BRIEF, signal)), {
    code: "provider_failed",
    status: 529,
    retryable: true,
  });
});

Deno.test("anthropic says why an answer is not whole", async () => {
  for (const finish of ["length", "filtered"] as const) {
    const server = await startAnthropic({
      brain: {
        provider: "test",
        async *respond() {
          yield { type: "text", text: "I" };
          yield { type: "finished", reason: finish };
        },
      },
    });
    const account = { apiKey: new Secret("sk-test"), baseUrl: server.url, clock: systemClock };
    const model = anthropic({ ...account, model: "claude-test" });
    const deltas = await Array.fromAsync(model.respond(BRIEF, signal));
    assert.deepEqual(deltas.at(-1), { type: "finished", reason: finish });
    await server.close();
  }
});
