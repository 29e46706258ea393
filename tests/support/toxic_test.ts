/** The ill lines, each before a model's server: every fault is one kind of error, in time, and leaves nothing open. */

import assert from "node:assert/strict";
import { systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { openai } from "@/lib/providers/llm/openai.ts";
import { ANSWER_MAX_BYTES } from "@/lib/providers/llm/receive.ts";
import { Secret } from "@/lib/secret.ts";
import { startOpenAI } from "./openai.ts";
import { startToxic, type Toxic, TOXICS } from "./toxic.ts";

const PROMPT = {
  system: "You are brief.",
  tools: [],
  messages: [{ role: "caller", text: "Hello" }],
  maxTokens: 100,
  temperature: 0,
} as const;
/** What a fault is seen by: the first token's limit, or the gap's. */
const IN_TIME_MS = 4_000;

interface Fared {
  readonly error: unknown;
  readonly ms: number;
  readonly sentBytes: number;
  readonly count: number;
}

async function ask(toxic: Toxic): Promise<Fared> {
  const server = await startOpenAI({ apiKey: "key" });
  const line = await startToxic({ toxic, to: server.url, healthyBytes: 700, hugeAs: "chunked" });
  const options = { apiKey: new Secret("key"), model: "test", clock: systemClock };
  const model = openai({ ...options, baseUrl: line.url });
  const startedAt = systemClock.now();
  const { signal } = new AbortController();
  const error = await Array.fromAsync(model.respond(PROMPT, signal)).catch((error) => error);
  const fared = {
    error,
    ms: systemClock.now() - startedAt,
    sentBytes: line.sentBytes,
    count: line.count,
  };
  await line.close();
  await server.close();
  return fared;
}

Deno.test("each fault of a line is the provider's failure, within its limit", async (t) => {
  const fared = await Promise.all(TOXICS.map(ask));
  for (const [nth, toxic] of TOXICS.entries()) {
    await t.step(toxic, () => {
      const { error, ms, count } = fared[nth] ?? assert.fail();
      assert.ok(error instanceof AppError, String(error));
      assert.equal(error.code, "provider_failed", error.message);
      assert.ok(ms < IN_TIME_MS, `${ms} ms`);
      assert.equal(count, toxic === "refuse" || toxic === "dns" ? 0 : 1);
      if (toxic.startsWith("status")) assert.equal(`status${error.status}`, toxic);
    });
  }
  await t.step("an answer of 100 MB is cut off", () => {
    const { error, sentBytes } = fared[TOXICS.indexOf("huge")] ?? assert.fail();
    assert.match(String(error), new RegExp(`over ${ANSWER_MAX_BYTES} bytes`));
    assert.ok(sentBytes < 4 * ANSWER_MAX_BYTES, `${sentBytes} bytes`);
  });
});
