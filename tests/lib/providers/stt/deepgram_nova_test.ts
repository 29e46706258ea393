/** Deepgram Nova: what its messages mean, and what it is sent. */

import assert from "node:assert/strict";
import { speak } from "@/lib/audio/modem.ts";
import { deepgramNova, novaReader } from "@/lib/providers/stt/deepgram_nova.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";
import { Secret } from "@/lib/secret.ts";
import { never } from "@/tests/support/contract_provider.ts";
import { line } from "@/tests/support/contract_stt.ts";
import { startDeepgram } from "@/tests/support/deepgram.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

/** A Results message as Deepgram sends it; `text` has its words at `from`, half a second each. */
function results(
  text: string,
  from: number,
  { isFinal = true, speechFinal = false }: { isFinal?: boolean; speechFinal?: boolean } = {},
): Record<string, unknown> {
  const texts = text.split(" ").filter((word) => word !== "");
  const words = texts.map((word, i) => ({
    word: word.toLowerCase().replace(/\W/g, ""),
    start: from + i / 2,
    end: from + (i + 1) / 2,
    confidence: 0.98,
    punctuated_word: word,
  }));
  return {
    type: "Results",
    channel_index: [0, 1],
    duration: Math.max(texts.length / 2, 1),
    start: from,
    is_final: isFinal,
    speech_final: speechFinal,
    channel: { alternatives: [{ transcript: text, confidence: 0.97, words }] },
    metadata: {
      request_id: "b84e5a52-1e9c-4ea7-9b5c-d1a1f2b2fa0c",
      model_info: { name: "general-nova-3", version: "2025-04-17.21547", arch: "nova-3" },
      model_uuid: "40bd3654-e622-47c4-a111-63a61b23bfe8",
    },
    from_finalize: false,
  };
}

const speechStarted = (timestamp: number) => ({
  type: "SpeechStarted",
  channel: [0, 1],
  timestamp,
});
const utteranceEnd = (lastWordEnd: number) => ({
  type: "UtteranceEnd",
  channel: [0, 1],
  last_word_end: lastWordEnd,
});

function read(...messages: readonly unknown[]): Recognition[] {
  const reader = novaReader();
  return messages.flatMap((message) => reader.read(message));
}

const final = (text: string, startMs: number, endMs: number): Recognition => ({
  type: "final",
  text,
  startMs,
  endMs,
  confidence: 0.97,
});

Deno.test("nova: finals add up until speech_final, and only that ends the utterance", () => {
  const recognitions = read(
    speechStarted(1),
    results("My number", 1, { isFinal: false }),
    results("My number is", 1),
    results("five five", 2.5, { isFinal: false }),
    results("five five one.", 2.5, { speechFinal: true }),
  );
  assert.deepEqual(recognitions, [
    { type: "speechStarted", atMs: 1000 },
    { type: "interim", text: "My number", endMs: 2000 },
    final("My number is", 1000, 2500),
    { type: "interim", text: "five five", endMs: 3500 },
    final("five five one.", 2500, 4000),
    { type: "utteranceEnded", lastWordEndMs: 4000 },
  ]);
});

Deno.test("nova: UtteranceEnd ends an utterance that noise kept from being endpointed", () => {
  assert.deepEqual(read(results("Hello", 1), results("", 2), utteranceEnd(1.5)), [
    { type: "speechStarted", atMs: 1000 },
    final("Hello", 1000, 1500),
    { type: "utteranceEnded", lastWordEndMs: 1500 },
  ]);
});

Deno.test("nova: an UtteranceEnd after speech_final does not end the next utterance", () => {
  const recognitions = read(
    results("Yes.", 1, { speechFinal: true }),
    utteranceEnd(1.5),
    results("And", 3, { isFinal: false }),
    utteranceEnd(1.5), // late, and again
    speechStarted(3.2),
    results("And then", 3),
    utteranceEnd(1.5),
    results("what?", 4, { speechFinal: true }),
  );
  assert.deepEqual(recognitions.map(({ type }) => type), [
    ...["speechStarted", "final", "utteranceEnded"],
    ...["speechStarted", "interim", "final", "final", "utteranceEnded"],
  ]);
});

Deno.test("nova: an UtteranceEnd before its final ends the utterance when that comes", () => {
  const recognitions = read(
    results("Hello", 1, { isFinal: false }),
    utteranceEnd(1.5),
    results("Hello", 1),
  );
  assert.deepEqual(recognitions.slice(1), [
    { type: "interim", text: "Hello", endMs: 1500 },
    final("Hello", 1000, 1500),
    { type: "utteranceEnded", lastWordEndMs: 1500 },
  ]);
});

Deno.test("nova: an UtteranceEnd of words that others have followed since ends nothing", () => {
  const recognitions = read(
    results("My number is", 1),
    results("five", 4, { isFinal: false }),
    utteranceEnd(2.5), // late: it speaks of "is"
    results("five five", 4, { isFinal: false }),
    utteranceEnd(5), // of these, whose final has not come
    results("five five.", 4),
  );
  assert.deepEqual(recognitions.map(({ type }) => type), [
    ...["speechStarted", "final", "interim", "interim", "final", "utteranceEnded"],
  ]);
});

Deno.test("nova: by its own judgement an endpoint is a guess, and UtteranceEnd the end", () => {
  const reader = novaReader({ eagerThreshold: 0.5, endThreshold: null, endTimeoutMs: null });
  const recognitions = [
    results("My number is", 1, { speechFinal: true }),
    results("", 2.5, { speechFinal: true }), // says it again
    results("five", 4, { isFinal: false }),
    utteranceEnd(2.5),
    results("five.", 4, { speechFinal: true }),
    utteranceEnd(4.5),
    utteranceEnd(4.5),
  ].flatMap((message) => reader.read(message));
  assert.deepEqual(recognitions, [
    { type: "speechStarted", atMs: 1000 },
    final("My number is", 1000, 2500),
    { type: "eagerEnded", text: "My number is", lastWordEndMs: 2500 },
    { type: "resumed" },
    { type: "interim", text: "five", endMs: 4500 },
    final("five.", 4000, 4500),
    { type: "eagerEnded", text: "My number is five.", lastWordEndMs: 4500 },
    { type: "utteranceEnded", lastWordEndMs: 4500 },
  ]);
});

Deno.test("nova: who wants no guesses of its judgement is told none", () => {
  const reader = novaReader({ eagerThreshold: null, endThreshold: null, endTimeoutMs: null });
  const messages = [results("Yes", 1, { speechFinal: true }), utteranceEnd(1.5)];
  assert.deepEqual(messages.flatMap((it) => reader.read(it)).map(({ type }) => type), [
    ...["speechStarted", "final", "utteranceEnded"],
  ]);
});

Deno.test("nova: noise that began like speech ends at the endpoint after it, not at the one before", () => {
  const empty = results("", 1, { speechFinal: true }); // 1 s to 2 s
  assert.deepEqual(read(speechStarted(2.1), empty), [{ type: "speechStarted", atMs: 2100 }]);
  assert.deepEqual(read(speechStarted(1.2), empty), [
    { type: "speechStarted", atMs: 1200 },
    { type: "utteranceEnded", lastWordEndMs: 2000 },
  ]);
});

Deno.test("nova: words that were final are not lost when the stream ends before the endpoint", () => {
  const reader = novaReader();
  reader.read(results("Good", 1));
  assert.deepEqual(reader.end(), [{ type: "utteranceEnded", lastWordEndMs: 1500 }]);
  assert.deepEqual(reader.end(), []);
});

Deno.test("nova: a message of a type that came later is no failure, a wrong one of a known type is", () => {
  assert.deepEqual(read({ type: "Sentiment", value: 1 }), []);
  const wrong = { code: "provider_failed", message: /not of its protocol/ };
  assert.throws(() => read({ type: "Results" }), wrong);
  assert.throws(() => read({ type: 1 }), wrong);
  assert.throws(() => read("}{"), wrong);
  const error = { type: "Error", description: "Overloaded", variant: "x" };
  assert.throws(() => read(error), { code: "provider_failed", message: /Overloaded/ });
});

async function setUp() {
  const clock = manualClock();
  const server = await startDeepgram({ apiKey: "key", clock });
  const options = { apiKey: new Secret("key"), baseUrl: server.url, clock, model: "nova-3" };
  return { clock, server, stt: deepgramNova(options) };
}

Deno.test("nova is asked for telephone audio, interims, endpointing and the agent's words", async () => {
  const { server, stt } = await setUp();
  const options = {
    language: "en-GB",
    keyterms: ["Brightsmile", "root canal"],
    endpointingMs: 350,
  };
  await Array.fromAsync(stt.transcribe(line(), options, never()));
  const query = server.requests[0]?.searchParams ?? new URLSearchParams();
  assert.deepEqual(query.getAll("keyterm"), ["Brightsmile", "root canal"]);
  query.delete("keyterm");
  assert.deepEqual(Object.fromEntries(query), {
    model: "nova-3",
    language: "en-GB",
    encoding: "mulaw",
    sample_rate: "8000",
    channels: "1",
    interim_results: "true",
    endpointing: "350",
    utterance_end_ms: "1000",
    vad_events: "true",
    smart_format: "true",
    no_delay: "true",
  });
  assert.deepEqual(server.received, [{ type: "CloseStream" }]);
  await server.close();
});

Deno.test("nova is kept alive while no audio comes, and hears what comes then", async () => {
  const { clock, server, stt } = await setUp();
  const resume = Promise.withResolvers<void>();
  async function* audio() {
    yield* line(speak("One.").audio, new Uint8Array(8_000).fill(0xff));
    await resume.promise;
    yield* line(speak("Two.").audio);
  }
  const options = { language: "en", keyterms: [], endpointingMs: 300 };
  const reading = Array.fromAsync(stt.transcribe(audio(), options, never()));
  while (clock.armed < 3) await clock.settle(); // the adapter's two timers, and the server's
  for (let kept = 0; kept < 6; kept++) {
    const command = server.nextCommand();
    await clock.advance(2_000);
    assert.deepEqual(await command, { type: "KeepAlive" });
  }
  resume.resolve();
  const finals = (await reading).flatMap((part) => part.type === "final" ? [part.text] : []);
  assert.deepEqual(finals, ["One.", "Two."]);
  await server.close();
});
