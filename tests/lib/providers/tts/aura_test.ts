/** Deepgram Aura: what it is sent, its limit of flushes, and word times that are estimates. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { heardWords } from "@/lib/audio/modem.ts";
import { aura } from "@/lib/providers/tts/aura.ts";
import { newPacer } from "@/lib/providers/tts/pacer.ts";
import type { Speech } from "@/lib/providers/tts/tts.ts";
import { Secret } from "@/lib/secret.ts";
import { never, readAll } from "@/tests/support/contract_provider.ts";
import { audioOf, wordsOf } from "@/tests/support/contract_tts.ts";
import { startDeepgram } from "@/tests/support/deepgram.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const OPTIONS = { voice: null, language: "en" };

async function setUp() {
  const clock = manualClock();
  const server = await startDeepgram({ apiKey: "key", clock });
  const voice = "aura-2-thalia-en";
  const tts = aura({ apiKey: new Secret("key"), baseUrl: server.url, clock, voice });
  return { clock, server, tts };
}

async function* pieces(...texts: readonly string[]) {
  yield* texts;
}

Deno.test("aura is told voice and format, and flushed at the end of each clause", async () => {
  const { server, tts } = await setUp();
  const options = { voice: "aura-2-apollo-en", language: "en" };
  await Array.fromAsync(tts.synthesize(pieces("Hello,", "how are you?"), options, never()));
  assert.deepEqual(Object.fromEntries(server.requests[0]?.searchParams ?? []), {
    model: "aura-2-apollo-en",
    encoding: "mulaw",
    sample_rate: "8000",
  });
  assert.deepEqual(server.received, [
    { type: "Speak", text: "Hello, " },
    { type: "Flush" },
    { type: "Speak", text: "how are you? " },
    { type: "Flush" },
  ]);
  await server.close();
});

Deno.test("aura is flushed twenty times a minute at the most, and says every clause all the same", async () => {
  const { server, tts } = await setUp();
  const clauses = Array.from({ length: 30 }, (_, i) => `Clause ${i}.`);
  const speech = await Array.fromAsync(tts.synthesize(pieces(...clauses), OPTIONS, never()));
  const flushCount = server.received.filter(({ type }) => type === "Flush").length;
  assert.equal(flushCount, 20);
  assert.equal(wordsOf(speech).map(({ text }) => text).join(" "), clauses.join(" "));
  assert.equal(heardWords(audioOf(speech)).map(({ text }) => text).join(" "), clauses.join(" "));
  await server.close();
});

Deno.test("a clause that aura did not speak is a failure, not silence", async () => {
  const { server, tts } = await setUp();
  const flushed = JSON.stringify({ type: "Flushed", sequence_id: 0 });
  server.failNext({ type: "garbage", at: 1, data: flushed });
  const { items, error } = await readAll(tts.synthesize(pieces("Hello."), OPTIONS, never()));
  assert.ok(error instanceof Error);
  assert.match(error.message, /spoke nothing/);
  assert.deepEqual(items, []);
  await server.close();
});

Deno.test("what aura warns of is no failure, what it calls an error is", async () => {
  for (const [type, fails] of [["Warning", false], ["Error", true]] as const) {
    const { server, tts } = await setUp();
    server.failNext({ type: "garbage", at: 0, data: JSON.stringify({ type, description: "Hm" }) });
    const { error } = await readAll(tts.synthesize(pieces("Hello."), OPTIONS, never()));
    assert.equal(error !== null, fails);
    await server.close();
  }
});

/** A clause, how its audio is cut, and how long the provider takes for each piece of it. */
interface Spoken {
  readonly words: readonly string[];
  readonly chunkMs: readonly number[];
  readonly waitMs: number;
}

const spoken = fc.record({
  words: fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1, maxLength: 12 }),
  chunkMs: fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 }),
  waitMs: fc.integer({ min: 0, max: 900 }),
});

/** Gives the clauses to a pacer as a provider would; every sample has a number to know it by. */
async function pace(clauses: readonly Spoken[]) {
  const clock = manualClock();
  const pacer = newPacer(clock);
  const given: number[] = [];
  const speech: Speech[] = [];
  let firstAtMs: number | null = null;
  let firstPassedMs: number | null = null;
  for (const { words, chunkMs, waitMs } of clauses) {
    pacer.expect(words);
    pacer.endClause();
    for (const ms of chunkMs) {
      await clock.advance(waitMs);
      const audio = Uint8Array.from({ length: ms * 8 }, (_, i) => (given.length + i) % 251);
      given.push(...audio);
      firstAtMs ??= clock.now();
      const parts = pacer.audio(audio);
      if (parts.some(({ type }) => type === "audio")) firstPassedMs ??= clock.now();
      speech.push(...parts);
    }
    speech.push(...pacer.clauseEnded() ?? []);
  }
  return { given, speech, firstAtMs, firstPassedMs };
}

Deno.test("a pacer gives all audio and all words once, each word before the audio of its last sample", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(spoken, { minLength: 1, maxLength: 4 }), async (clauses) => {
      const { given, speech } = await pace(clauses);
      assert.deepEqual([...audioOf(speech)], given);
      const texts = wordsOf(speech).map(({ text }) => text);
      assert.deepEqual(texts, clauses.flatMap(({ words }) => words));
      let sentMs = 0;
      let toldMs = 0;
      for (const part of speech) {
        if (part.type === "audio") {
          sentMs += part.audio.length / 8;
          continue;
        }
        for (const { startMs, endMs } of part.words) {
          assert.ok(endMs > sentMs);
          assert.ok(startMs >= toldMs && endMs >= startMs);
          toldMs = endMs;
        }
      }
    }),
    { seed: 11, numRuns: 200 },
  );
});

Deno.test("a pacer tells no word as ended before its share of its clause", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(spoken, { minLength: 1, maxLength: 4 }), async (clauses) => {
      const { speech } = await pace(clauses);
      const told = wordsOf(speech);
      let index = 0;
      let clauseMs = 0;
      for (const { words, chunkMs } of clauses) {
        const lengthMs = chunkMs.reduce((sum, ms) => sum + ms, 0);
        const letters = words.join(" ").length;
        // Slower than any talker: there an early time is what the pacer must take for possible.
        const isSlow = lengthMs > 200 + letters * 100;
        for (const [i] of words.entries()) {
          const share = words.slice(0, i + 1).join(" ").length / letters;
          const endMs = told[index++]?.endMs ?? NaN;
          if (!isSlow) assert.ok(endMs >= clauseMs + lengthMs * share - 1e-6);
        }
        clauseMs += lengthMs;
      }
    }),
    { seed: 12, numRuns: 200 },
  );
});

Deno.test("a pacer takes for possible that a word lasts as long as it and the next one should", () => {
  const pacer = newPacer(manualClock());
  pacer.expect(["elephant", "one", "ate"]); // 8, 12 and 16 letters, spaces included
  pacer.endClause();
  const speech = [...pacer.audio(new Uint8Array(1_600 * 8)), ...pacer.clauseEnded() ?? []];
  assert.deepEqual(wordsOf(speech), [
    { text: "elephant", startMs: 0, endMs: 1_200 },
    { text: "one", startMs: 1_200, endMs: 1_600 },
    { text: "ate", startMs: 1_600, endMs: 1_600 },
  ]);
});

Deno.test("a pacer passes the first audio on at once, and keeps the listener ahead", async () => {
  const words = ["a", "long", "clause", "of", "many", "words", "that", "takes", "a", "while"];
  const { firstAtMs, firstPassedMs } = await pace([{
    words,
    chunkMs: [100, 100, 100],
    waitMs: 30,
  }]);
  assert.equal(firstPassedMs, firstAtMs);

  const clock = manualClock();
  const pacer = newPacer(clock);
  pacer.expect(words);
  pacer.endClause();
  let passedMs = 0;
  for (let givenMs = 0; givenMs < 3_000; givenMs += 100) {
    for (const part of pacer.audio(new Uint8Array(800))) {
      if (part.type === "audio") passedMs += part.audio.length / 8;
    }
    assert.ok(passedMs >= Math.min(givenMs + 100 - 20, clock.now() + 400), "the listener waits");
    assert.ok(passedMs <= clock.now() + 600, "it was not held");
    await clock.advance(20); // five times as fast as it is listened to
  }
});
