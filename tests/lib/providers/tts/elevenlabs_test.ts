/** ElevenLabs: how characters become words, what it is sent, and how it says that it failed. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { elevenlabs, newAligner } from "@/lib/providers/tts/elevenlabs.ts";
import type { SpokenWord } from "@/lib/providers/tts/tts.ts";
import { Secret } from "@/lib/secret.ts";
import { never, readAll } from "@/tests/support/contract_provider.ts";
import { audioOf, wordsOf } from "@/tests/support/contract_tts.ts";
import { type ElevenLabsServerOptions, startElevenLabs } from "@/tests/support/elevenlabs.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

/** Characters of 50 ms each, from the chunk's first sample. */
function times(text: string) {
  const chars = Array.from(text);
  return { chars, startMs: chars.map((_, i) => i * 50), durationMs: chars.map(() => 50) };
}

/** Reads the chunks one after the other, each as long as its characters. */
function align(words: readonly string[], ...chunks: readonly string[]): SpokenWord[] {
  const aligner = newAligner();
  aligner.expect(words);
  let atMs = 0;
  const out: SpokenWord[] = [];
  for (const chunk of chunks) {
    out.push(...aligner.read(times(chunk), atMs));
    atMs += Array.from(chunk).length * 50;
  }
  return [...out, ...aligner.rest(atMs)];
}

Deno.test("a word that straddles chunks is timed over both, from the chunks' own beginnings", () => {
  assert.deepEqual(align(["Hello", "there."], " Hel", "lo the", "re. "), [
    { text: "Hello", startMs: 50, endMs: 300 },
    { text: "there.", startMs: 350, endMs: 650 },
  ]);
});

Deno.test("a word is complete with its last character, before the space behind it", () => {
  const aligner = newAligner();
  aligner.expect(["Yes,", "I"]);
  assert.deepEqual(aligner.read(times("Yes,"), 0), [{ text: "Yes,", startMs: 0, endMs: 200 }]);
  assert.equal(aligner.isWaiting(), true);
});

Deno.test("a word that is spelt in another way is complete with its space, and told as it was written", () => {
  assert.deepEqual(align(["it’s", "5"], "it's five "), [
    { text: "it’s", startMs: 0, endMs: 200 },
    { text: "5", startMs: 250, endMs: 450 },
  ]);
});

Deno.test("words that no chunk told of are spoken by the end", () => {
  assert.deepEqual(align(["One", "two"], "One "), [
    { text: "One", startMs: 0, endMs: 150 },
    { text: "two", startMs: 150, endMs: 200 },
  ]);
});

Deno.test("however a text is cut into chunks, its words are all told, once and in order", () => {
  const word = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 })
    .filter((text) => !/\s/u.test(text));
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 9 })),
      (words, cuts) => {
        const chars = Array.from(`${words.join(" ")} `);
        const chunks: string[] = [];
        for (const cut of cuts) chunks.push(chars.splice(0, cut).join(""));
        const told = align(words, ...chunks, chars.join(""));
        assert.deepEqual(told.map(({ text }) => text), words);
      },
    ),
    { seed: 7, numRuns: 300 },
  );
});

async function setUp(
  options: Partial<ElevenLabsServerOptions> & { readonly model?: string } = {},
) {
  const clock = manualClock();
  const { model = "eleven_flash_v2_5", ...ofServer } = options;
  const server = await startElevenLabs({ apiKey: "key", clock, ...ofServer });
  const tts = elevenlabs({
    apiKey: new Secret("key"),
    baseUrl: server.url,
    clock,
    model,
    voice: "rachel",
    voiceSettings: { stability: 0.4, similarityBoost: 0.8 },
  });
  return { clock, server, tts };
}

async function* pieces(...texts: readonly string[]) {
  yield* texts;
}

Deno.test("it is told voice, model and format, then each clause with a space at its end, then the end", async () => {
  const { server, tts } = await setUp();
  const options = { voice: "adam/1", language: "en-GB" };
  await Array.fromAsync(tts.synthesize(pieces("Hello,", "how are you?"), options, never()));
  assert.equal(server.requests[0]?.pathname, "/v1/text-to-speech/adam%2F1/stream-input");
  assert.deepEqual(Object.fromEntries(server.requests[0]?.searchParams ?? []), {
    model_id: "eleven_flash_v2_5",
    output_format: "ulaw_8000",
    auto_mode: "true",
    sync_alignment: "true",
    inactivity_timeout: "180",
    language_code: "en",
  });
  assert.deepEqual(server.received, [
    { text: " ", voice_settings: { stability: 0.4, similarity_boost: 0.8 } },
    { text: "Hello, " },
    { text: "how are you? " },
    { text: "" },
  ]);
  await server.close();
});

Deno.test("a model that takes no language is not told one, an agent without a voice has the setting's", async () => {
  const { server, tts } = await setUp({ model: "eleven_multilingual_v2" });
  await Array.fromAsync(tts.synthesize(pieces("Hi."), { voice: null, language: "en" }, never()));
  assert.equal(server.requests[0]?.pathname, "/v1/text-to-speech/rachel/stream-input");
  assert.equal(server.requests[0]?.searchParams.has("language_code"), false);
  await server.close();
});

Deno.test("a pace that the agent asks for goes with the voice's settings", async () => {
  const { server, tts } = await setUp();
  const options = { voice: null, language: "en", speed: 0.9 };
  await Array.fromAsync(tts.synthesize(pieces("Hi."), options, never()));
  assert.deepEqual(server.received[0]?.voice_settings, {
    stability: 0.4,
    similarity_boost: 0.8,
    speed: 0.9,
  });
  await server.close();
});

const OPTIONS = { voice: null, language: "en" };

Deno.test("both spellings of durations mean the same", async () => {
  const told: unknown[] = [];
  for (const durationsAs of ["charDurationsMs", "charsDurationsMs"] as const) {
    const { server, tts } = await setUp({ durationsAs });
    told.push(
      wordsOf(await Array.fromAsync(tts.synthesize(pieces("Good day."), OPTIONS, never()))),
    );
    await server.close();
  }
  assert.equal((told[0] as unknown[]).length, 2);
  assert.deepEqual(told[0], told[1]);
});

Deno.test("chunks of 20 ms and of 2 s have the same audio and words", async () => {
  const speeches = [];
  for (const chunkMs of [20, 2000]) {
    const { server, tts } = await setUp({ chunkMs });
    speeches.push(await Array.fromAsync(tts.synthesize(pieces("Good day."), OPTIONS, never())));
    await server.close();
  }
  const [small = [], large = []] = speeches;
  assert.deepEqual(audioOf(small), audioOf(large));
  const rounded = (words: readonly SpokenWord[]) =>
    words.map(({ text, startMs, endMs }) => [text, Math.round(startMs), Math.round(endMs)]);
  assert.deepEqual(rounded(wordsOf(small)), rounded(wordsOf(large)));
});

for (
  const [name, data, expected] of [
    [
      "a spent quota is final",
      { message: "Quota exceeded", error: "quota_exceeded", code: 1008 },
      { retryable: false, message: /quota_exceeded/ },
    ],
    [
      "a wait for text that was too long is worth another try",
      { message: "No text", error: "input_timeout_exceeded", code: 1008 },
      { retryable: true, message: /input_timeout_exceeded/ },
    ],
    [
      "an end without any speech is a failure, not silence",
      { isFinal: true },
      { retryable: true, message: /without speaking/ },
    ],
    [
      "times that do not fit their characters are a failure",
      { audio: "", alignment: { chars: ["a"], charStartTimesMs: [], charDurationsMs: [1] } },
      { retryable: true, message: /not of its protocol/ },
    ],
  ] as const
) {
  Deno.test(`elevenlabs: ${name}`, async () => {
    const { server, tts } = await setUp();
    server.failNext({ type: "garbage", at: 0, data: JSON.stringify(data) });
    const { error } = await readAll(tts.synthesize(pieces("Hello."), OPTIONS, never()));
    assert.ok(error instanceof Error);
    assert.match(error.message, expected.message);
    assert.equal("retryable" in error && error.retryable, expected.retryable);
    await server.close();
  });
}

Deno.test("a close with 1008 is final, one with 1011 worth another try", async () => {
  for (const [code, retryable] of [[1008, false], [1011, true]] as const) {
    const { server, tts } = await setUp();
    server.failNext({ type: "close", at: 0, code, reason: "sorry" });
    const { error } = await readAll(tts.synthesize(pieces("Hello."), OPTIONS, never()));
    assert.ok(error instanceof Error && "retryable" in error);
    assert.match(error.message, new RegExp(`closed with ${code} sorry`));
    assert.equal(error.retryable, retryable);
    await server.close();
  }
});
