/** OpenAI's speech: what it is asked, when, and how it says that it failed. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import { heardWords } from "@/lib/audio/modem.ts";
import { openaiSpeech } from "@/lib/providers/tts/openai.ts";
import { Secret } from "@/lib/secret.ts";
import { never, readAll } from "@/tests/support/contract_provider.ts";
import { audioOf } from "@/tests/support/contract_tts.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { startOpenAISpeech } from "@/tests/support/openai_speech.ts";

const OPTIONS = { voice: null, language: "en" };

async function setUp(apiKey = "sk-test") {
  const clock = manualClock();
  const server = await startOpenAISpeech();
  const account = { apiKey: new Secret(apiKey), baseUrl: server.url, clock };
  return { clock, server, tts: openaiSpeech({ ...account, model: "tts-test", voice: "alloy" }) };
}

async function* pieces(...texts: readonly string[]) {
  yield* texts;
}

Deno.test("it is told model, voice and speed, and asked for bare samples", async () => {
  const { server, tts } = await setUp();
  const options = { voice: "nova", language: "en", speed: 1.1 };
  await Array.fromAsync(tts.synthesize(pieces("Hello,", " how are you?"), options, never()));
  const shape = {
    model: "tts-test",
    voice: "nova",
    response_format: "pcm",
    stream_format: "audio",
  };
  assert.deepEqual(server.requests, [
    { ...shape, input: "Hello,", speed: 1.1 },
    { ...shape, input: "how are you?", speed: 1.1 },
  ]);
  await server.close();
});

Deno.test("clauses that come while two are on their way are asked for together", async () => {
  const { server, tts } = await setUp();
  const clauses = ["One,", "two,", "three,", "four,", "five."];
  const speech = await Array.fromAsync(tts.synthesize(pieces(...clauses), OPTIONS, never()));
  assert.deepEqual(server.requests.map(({ input }) => input), [
    "One,",
    "two,",
    "three, four, five.",
  ]);
  const heard = heardWords(audioOf(speech)).map(({ text }) => text).join(" ");
  assert.equal(heard, clauses.join(" "));
  await server.close();
});

Deno.test("a text of any length is asked for in requests that are not too long", async () => {
  const { server, tts } = await setUp();
  const text = "word ".repeat(900);
  await Array.fromAsync(tts.synthesize(pieces(text), OPTIONS, never()));
  assert.deepEqual(server.requests.map(({ input }) => input.length), [4_094, 404]);
  await server.close();
});

for (const [status, retryable] of [[401, false], [429, true], [503, true]] as const) {
  Deno.test(`it fails on ${status}, which is ${retryable ? "retryable" : "final"}`, async () => {
    const { server, tts } = await setUp();
    server.behave({ type: "status", status });
    const { items, error } = await readAll(tts.synthesize(pieces("Hi."), OPTIONS, never()));
    assert.deepEqual(items, []);
    assert.ok(error instanceof AppError, String(error));
    assert.deepEqual([error.code, error.status, error.retryable], [
      "provider_failed",
      status,
      retryable,
    ]);
    await server.close();
  });
}

Deno.test("audio that is lost on its way, and a clause without any, are failures worth another try", async () => {
  for (const behaviour of [{ type: "lost", afterPieces: 2 }, { type: "mute" }] as const) {
    const { server, tts } = await setUp();
    server.behave(behaviour);
    const long = "A long enough sentence to be cut off in the middle.";
    const { error } = await readAll(tts.synthesize(pieces(long), OPTIONS, never()));
    assert.ok(error instanceof AppError, String(error));
    assert.deepEqual([error.code, error.retryable], ["provider_failed", true]);
    await server.close();
  }
});

Deno.test("it gives up on a server that says nothing, before its answer or within it", async () => {
  for (const afterPieces of [null, 1]) {
    const { server, clock, tts } = await setUp();
    server.behave({ type: "hang", afterPieces });
    const reading = readAll(tts.synthesize(pieces("Good morning to you."), OPTIONS, never()));
    while (server.requests.length === 0) await clock.settle();
    let isDone = false;
    reading.then(() => isDone = true);
    for (let waited = 0; waited < 8 && !isDone; waited++) {
      for (let turns = 0; turns < 20; turns++) await clock.settle();
      await clock.advance(4_000);
    }
    const { error } = await reading;
    assert.ok(error instanceof AppError, String(error));
    assert.deepEqual([error.code, error.retryable], ["provider_failed", true]);
    await server.close();
  }
});

Deno.test("an abort ends the requests that are on their way", async () => {
  const { server, clock, tts } = await setUp();
  server.behave({ type: "hang", afterPieces: 1 });
  const abort = new AbortController();
  const reason = new Error("barge-in");
  const reading = readAll(tts.synthesize(pieces("One,", "two."), OPTIONS, abort.signal));
  while (server.requests.length < 2) await clock.settle();
  abort.abort(reason);
  assert.equal((await reading).error, reason);
  await server.allClosed();
  await server.close();
});

Deno.test("it shows no key in what it throws", async () => {
  const { server, tts } = await setUp("sk-secret-1");
  const { error } = await readAll(tts.synthesize(pieces("Hi."), OPTIONS, never()));
  assert.doesNotMatch(Deno.inspect(error, { depth: 9 }), /sk-/);
  await server.close();
});
