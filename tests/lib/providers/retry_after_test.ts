/** A provider that says when it may be asked again is left alone until then, whichever it is. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { newAsyncQueue } from "@/lib/async_queue.ts";
import { AppError } from "@/lib/errors.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { note } from "@/lib/providers/failover/guarded.ts";
import { anthropic } from "@/lib/providers/llm/anthropic.ts";
import { openai } from "@/lib/providers/llm/openai.ts";
import { retryAfterOf } from "@/lib/providers/retry_after.ts";
import { deepgramNova } from "@/lib/providers/stt/deepgram_nova.ts";
import { aura } from "@/lib/providers/tts/aura.ts";
import { Secret } from "@/lib/secret.ts";
import { liveClock } from "@/tests/support/live_kit.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const DATE = "Fri, 27 Nov 2026 10:00:00 GMT";

const ROWS: readonly (readonly [Readonly<Record<string, string>>, number | undefined])[] = [
  [{ "retry-after": "7" }, 7],
  [{ "retry-after": "0" }, 0],
  [{ "retry-after": "7", "retry-after-ms": "250" }, 0.25],
  [{ "retry-after": "Fri, 27 Nov 2026 10:00:09 GMT", date: DATE }, 9],
  [{ "retry-after": "Fri, 27 Nov 2026 09:59:00 GMT", date: DATE }, 0],
  [{ "retry-after": "Fri, 27 Nov 2026 10:00:09 GMT" }, undefined],
  [{ "retry-after": "soon", date: DATE }, undefined],
  [{ "retry-after": "-3" }, undefined],
  [{}, undefined],
];

Deno.test("Retry-After is seconds, or a time by the server's own clock", () => {
  for (const [headers, seconds] of ROWS) {
    assert.equal(retryAfterOf((name) => headers[name]), seconds, JSON.stringify(headers));
  }
});

/** Refuses whatever it is asked, by both ways, for 7 s. */
async function startRefusing(): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(429, { "Retry-After": "7", "Content-Type": "application/json" });
    response.end(JSON.stringify({ error: { type: "rate_limit_error", message: "later" } }));
  });
  server.on("upgrade", (_request, socket) => {
    socket.end("HTTP/1.1 429 Refused\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("No port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

Deno.test("a provider that refuses for 7 s is left alone for 7 s: model, recogniser and voice", async () => {
  const server = await startRefusing();
  const account = { apiKey: new Secret("key"), clock: liveClock(), baseUrl: server.url };
  const { signal } = new AbortController();
  const messages = [{ role: "caller", text: "Hello" }] as const;
  const prompt = { system: "", tools: [], messages, maxTokens: 9, temperature: 0 };
  const text = newAsyncQueue<string>(1);
  text.push("Hello.");
  text.end();
  const audio = newAsyncQueue<Uint8Array>(1);
  audio.end();
  const hearing = { language: "en", keyterms: [], endpointingMs: 400 };
  const asked: Readonly<Record<string, AsyncIterable<unknown>>> = {
    openai: openai({ ...account, model: "m" }).respond(prompt, signal),
    anthropic: anthropic({ ...account, model: "m" }).respond(prompt, signal),
    deepgram: deepgramNova({ ...account, model: "nova-3" }).transcribe(audio, hearing, signal),
    aura: aura({ ...account, voice: "v" })
      .synthesize(text, { voice: null, language: "en" }, signal),
  };
  for (const [name, answer] of Object.entries(asked)) {
    const error = await Array.fromAsync(answer).then(() => null, (error: unknown) => error);
    assert.ok(error instanceof AppError, `${name}: ${error}`);
    assert.deepEqual([error.status, error.retryAfterS, error.retryable], [429, 7, true], name);
    const clock = manualClock();
    const breaker = newBreakers(clock).of(name);
    note(breaker, error);
    await clock.advance(6_900);
    assert.equal(breaker.take(), false, name);
    await clock.advance(200);
    assert.equal(breaker.take(), true, name);
  }
  server.close();
});
