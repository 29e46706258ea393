/** A provider whose certificate nobody vouches for is sent nothing, and its breaker opens. */

import assert from "node:assert/strict";
import { createServer } from "node:https";
import { newAsyncQueue } from "@/lib/async_queue.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { note } from "@/lib/providers/failover/guarded.ts";
import { openai } from "@/lib/providers/llm/openai.ts";
import { deepgramNova } from "@/lib/providers/stt/deepgram_nova.ts";
import { Secret } from "@/lib/secret.ts";
import { liveClock } from "@/tests/support/live_kit.ts";
import { selfSigned } from "@/tests/support/self_signed.ts";

const FAILURES_TO_OPEN = 5;

/** All that was thrown, the cause of a cause too. */
function wholeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? wholeOf(error.cause) : "";
  return `${messageOf(error)} ${cause}`;
}

Deno.test("a certificate that nobody vouches for ends the connection before a key is sent, and opens the breaker", async () => {
  let requests = 0;
  const server = createServer(selfSigned(), (_request, response) => {
    requests++;
    response.end();
  });
  server.on("upgrade", (_request, socket) => {
    requests++;
    socket.destroy();
  });
  server.on("tlsClientError", () => {}); // it is told that it is not trusted
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");

  const clock = liveClock();
  const baseUrl = `https://127.0.0.1:${address.port}`;
  const account = { apiKey: new Secret("key"), clock, baseUrl };
  const { signal } = new AbortController();
  const messages = [{ role: "caller", text: "Hello" }] as const;
  const prompt = { system: "", tools: [], messages, maxTokens: 9, temperature: 0 };
  const hearing = { language: "en", keyterms: [], endpointingMs: 400 };
  const asks: Readonly<Record<string, () => AsyncIterable<unknown>>> = {
    openai: () => openai({ ...account, model: "m" }).respond(prompt, signal),
    deepgram: () =>
      deepgramNova({ ...account, model: "nova-3" })
        .transcribe(newAsyncQueue<Uint8Array>(1), hearing, signal),
  };
  for (const [name, ask] of Object.entries(asks)) {
    const breakers = newBreakers(clock);
    const breaker = breakers.of(name);
    for (let nth = 0; nth < FAILURES_TO_OPEN; nth++) {
      assert.equal(breaker.take(), true, name);
      const error = await Array.fromAsync(ask()).then(() => null, (error: unknown) => error);
      assert.ok(error instanceof AppError, `${name}: ${error}`);
      assert.deepEqual([error.code, error.retryable, error.status], [
        "provider_failed",
        true,
        undefined,
      ]);
      assert.match(wholeOf(error), /certificate|UnknownIssuer|self.signed/i, name);
      note(breaker, error);
    }
    assert.equal(breakers.view()[0]?.phase, "open", name);
  }
  assert.equal(requests, 0);
  assert.equal(clock.armed, 0);
  await new Promise<void>((resolve) => server.close(() => resolve()));
});
