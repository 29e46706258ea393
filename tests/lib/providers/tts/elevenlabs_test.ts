/** ElevenLabs: how characters become words, what it is sent, and how it says that it failed. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { heardWords } from "@/lib/audio/modem.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { failoverVoice } from "@/lib/providers/failover/voice.ts";
import { newAligner } from "@/lib/providers/tts/aligner.ts";
import { elevenlabs } from "@/lib/providers/tts/elevenlabs.ts";
import { CONTEXTS_MAX, KEEP_ALIVE_MS } from "@/lib/providers/tts/elevenlabs_socket.ts";
import { holdVoice, type Speech, type SpokenWord } from "@/lib/providers/tts/tts.ts";
import { Secret } from "@/lib/secret.ts";
import { never, readAll } from "@/tests/support/contract_provider.ts";
import { audioOf, wordsOf } from "@/tests/support/contract_tts.ts";
import { type ElevenLabsServerOptions, startElevenLabs } from "@/tests/support/elevenlabs.ts";
import { type ManualClock, manualClock } from "@/tests/support/manual_clock.ts";

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
  await server.allClosed();
  assert.equal(server.requests[0]?.pathname, "/v1/text-to-speech/adam%2F1/multi-stream-input");
  assert.deepEqual(Object.fromEntries(server.requests[0]?.searchParams ?? []), {
    model_id: "eleven_flash_v2_5",
    output_format: "ulaw_8000",
    auto_mode: "true",
    sync_alignment: "true",
    inactivity_timeout: "180",
    language_code: "en",
  });
  assert.deepEqual(server.received, [
    { text: " ", context_id: "u1", voice_settings: { stability: 0.4, similarity_boost: 0.8 } },
    { text: "Hello, ", context_id: "u1" },
    { text: "how are you? ", context_id: "u1" },
    { context_id: "u1", flush: true },
    { context_id: "u1", close_context: true },
    { close_socket: true },
  ]);
  await server.close();
});

Deno.test("a model that takes no language is not told one, an agent without a voice has the setting's", async () => {
  const { server, tts } = await setUp({ model: "eleven_multilingual_v2" });
  await Array.fromAsync(tts.synthesize(pieces("Hi."), { voice: null, language: "en" }, never()));
  assert.equal(server.requests[0]?.pathname, "/v1/text-to-speech/rachel/multi-stream-input");
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
      { isFinal: true, contextId: "u1" },
      { retryable: true, message: /without speaking/ },
    ],
    [
      "times that do not fit their characters are a failure",
      {
        audio: "",
        alignment: { chars: ["a"], charStartTimesMs: [], charDurationsMs: [1] },
        contextId: "u1",
      },
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

/** Speech that reads as far as it is told to: the rest comes with `rest`. */
function reader(speech: AsyncIterable<Speech>) {
  const reading = speech[Symbol.asyncIterator]();
  const got: Speech[] = [];
  return {
    got,
    async untilAudio(): Promise<void> {
      while (got.at(-1)?.type !== "audio") {
        const { done, value } = await reading.next();
        if (done) return;
        got.push(value);
      }
    },
    async rest(): Promise<Speech[]> {
      for (let it = await reading.next(); !it.done; it = await reading.next()) got.push(it.value);
      return got;
    },
  };
}

function textOf(speech: readonly Speech[]): string {
  return wordsOf(speech).map(({ text }) => text).join(" ");
}

Deno.test("a held voice speaks a whole call over one socket, each utterance in a context of its own", async () => {
  const { server, tts } = await setUp();
  const held = holdVoice(tts, OPTIONS);
  for (const text of ["Good day.", "At ten?", "Goodbye."]) {
    const speech = await Array.fromAsync(held.synthesize(pieces(text), OPTIONS, never()));
    assert.equal(textOf(speech), text);
    assert.equal(heardWords(audioOf(speech)).map((word) => word.text).join(" "), text);
  }
  assert.equal(server.acceptedCount, 1);
  const opened = server.received.filter(({ text }) => text === " ");
  assert.deepEqual(opened.map((message) => message.context_id), ["u1", "u2", "u3"]);
  held.release();
  await server.allClosed();
  assert.deepEqual(server.received.at(-1), { close_socket: true });
});

Deno.test("a held voice is connected before there is anything to say", async () => {
  const { server, tts, clock } = await setUp();
  const held = holdVoice(tts, OPTIONS);
  while (server.acceptedCount === 0) await clock.settle();
  held.release();
  held.release();
  await server.allClosed();
  await clock.settle();
  assert.equal(clock.armed, 0);
  await server.close();
});

Deno.test("of an utterance that was cut off no late audio comes, and the next one is whole", async () => {
  const { server, tts, clock } = await setUp({ firstAudioMs: 50, chunkEveryMs: 100 });
  const held = holdVoice(tts, OPTIONS);
  const cut = new AbortController();
  const first = reader(
    held.synthesize(
      pieces("We are open from Monday to Friday, nine to five."),
      OPTIONS,
      cut.signal,
    ),
  );
  const begun = first.untilAudio();
  await waitFor(() => server.receivedCount >= 3, clock);
  await clock.advance(50);
  await begun;
  cut.abort(new Error("barge-in"));
  const failed = assert.rejects(first.rest(), /barge-in/);
  const next = Array.fromAsync(held.synthesize(pieces("Go on."), OPTIONS, never()));
  await waitFor(() => server.received.some(({ text }) => text === "Go on. "), clock);
  const speech = await finished(next, clock); // the late audio of the first is sent all the while
  await failed;
  assert.equal(heardWords(audioOf(speech)).map((word) => word.text).join(" "), "Go on.");
  assert.equal(textOf(speech), "Go on.");
  assert.equal(server.acceptedCount, 1);
  assert.ok(
    server.received.some(({ context_id: id, close_context: it }) => id === "u1" && it === true),
  );
  held.release();
  await server.close();
});

Deno.test("contexts that are never ended are bounded: with five a new socket is opened", async () => {
  const { server, tts, clock } = await setUp({ stallsClose: true });
  const held = holdVoice(tts, OPTIONS);
  for (let nth = 1; nth <= CONTEXTS_MAX + 1; nth++) {
    const speech = held.synthesize(pieces("Good day."), OPTIONS, never());
    for await (const part of speech) if (part.type === "audio") break; // a barge-in
    if (nth === CONTEXTS_MAX) assert.equal(server.acceptedCount, 1);
  }
  assert.equal(server.acceptedCount, 2);
  held.release();
  await server.allClosed();
  await clock.settle();
  assert.equal(clock.armed, 0);
  await server.close();
});

Deno.test("an idle socket is kept by empty texts, past the provider's patience", async () => {
  const { server, tts, clock } = await setUp();
  const held = holdVoice(tts, OPTIONS);
  await Array.fromAsync(held.synthesize(pieces("Good day."), OPTIONS, never()));
  for (let minute = 0; minute < 10; minute++) {
    const { receivedCount } = server;
    await clock.advance(KEEP_ALIVE_MS);
    await waitFor(() => server.receivedCount > receivedCount, clock);
  }
  await Array.fromAsync(held.synthesize(pieces("Still there?"), OPTIONS, never()));
  assert.equal(server.acceptedCount, 1);
  held.release();
  await server.close();
});

for (const code of [1000, 1008, 1011]) {
  Deno.test(`a socket that the provider closes with ${code} between two utterances is opened anew`, async () => {
    const { server, tts, clock } = await setUp();
    const held = holdVoice(tts, OPTIONS);
    const first = await Array.fromAsync(held.synthesize(pieces("Hi."), OPTIONS, never()));
    server.closeOpen(code);
    await waitFor(() => clock.armed === 0, clock); // both ends know
    const second = await Array.fromAsync(held.synthesize(pieces("Hello."), OPTIONS, never()));
    assert.equal(textOf([...first, ...second]), "Hi. Hello.");
    assert.equal(server.acceptedCount, 2);
    held.release();
    await server.close();
  });
}

Deno.test("a node with another voice has a socket of its own; the third takes the place of the oldest", async () => {
  const { server, tts } = await setUp();
  const held = holdVoice(tts, OPTIONS);
  for (const voice of ["a", "b", "a", "b", "c", "a"]) {
    await Array.fromAsync(held.synthesize(pieces("Hi."), { ...OPTIONS, voice }, never()));
  }
  const voices = server.requests.map(({ pathname }) => pathname.split("/").at(-2));
  assert.deepEqual(voices, ["rachel", "a", "b", "c", "a"]);
  held.release();
  await server.close();
});

Deno.test("a context is closed only once its audio has begun: its text is never dropped unspoken", async () => {
  const { server, tts, clock } = await setUp({ firstAudioMs: 300 });
  const held = holdVoice(tts, OPTIONS);
  const speech = Array.fromAsync(held.synthesize(pieces("One.", "Two."), OPTIONS, never()));
  await waitFor(() => server.received.some(({ flush }) => flush === true), clock);
  assert.ok(!server.received.some((message) => message.close_context));
  await clock.advance(300);
  assert.equal(textOf(await finished(speech, clock)), "One. Two.");
  held.release();
  await server.close();
});

Deno.test("a socket that is lost in mid-utterance is opened anew, and the rest is said", async () => {
  const { server, tts, clock } = await setUp();
  server.failNext({ type: "drop", at: 6 });
  const breaker = newBreakers(clock).of("elevenlabs");
  const voice = failoverVoice({ clock, voices: [{ provider: tts, breaker }] });
  const held = holdVoice(voice, OPTIONS);
  const text = "We are open from Monday to Friday, nine to five, and on Saturdays until one.";
  const speech = await Array.fromAsync(held.synthesize(pieces(text), OPTIONS, never()));
  assert.equal(textOf(speech), text);
  assert.equal(server.acceptedCount, 2);
  const whole = heardWords(audioOf(speech)).filter(({ complete }) => complete);
  for (const word of text.split(" ")) assert.ok(whole.some((heard) => heard.text === word), word);
  const again = await Array.fromAsync(held.synthesize(pieces("Goodbye."), OPTIONS, never()));
  assert.equal(textOf(again), "Goodbye.");
  assert.equal(server.acceptedCount, 2);
  held.release();
  await server.allClosed();
  await clock.settle();
  assert.equal(clock.armed, 0);
  await server.close();
});

async function waitFor(isSo: () => boolean, clock: ManualClock): Promise<void> {
  while (!isSo()) await clock.settle();
}

/** What it gives, while time goes by. */
async function finished<T>(promise: Promise<T>, clock: ManualClock): Promise<T> {
  let isDone = false;
  const done = promise.finally(() => isDone = true);
  while (!isDone) await clock.advance(20);
  return await done;
}
