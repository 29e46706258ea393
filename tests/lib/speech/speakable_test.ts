/** A speakable voice: its words are the written ones, at the times of what was spoken for them. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { wordsOf } from "@/lib/providers/tts/words.ts";
import type { SpokenWord, TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { speakable } from "@/lib/speech/speakable.ts";

const WORD_MS = 100;

/** Says a word in 100 ms, and tells of `batch` at a time. */
function voice(batch = 1): { readonly tts: TextToSpeech; readonly said: string[] } {
  const said: string[] = [];
  const tts: TextToSpeech = {
    provider: "steady",
    async *synthesize(text) {
      let told = 0;
      for await (const piece of text) {
        const words = wordsOf(piece).map((word): SpokenWord => {
          said.push(word);
          return { text: word, startMs: WORD_MS * told, endMs: WORD_MS * ++told };
        });
        for (let at = 0; at < words.length; at += batch) {
          const some = words.slice(at, at + batch);
          yield { type: "words", words: some };
          yield { type: "audio", audio: new Uint8Array(some.length * WORD_MS * 8) };
        }
      }
    },
  };
  return { tts, said };
}

async function* clausesOf(clauses: readonly string[]): AsyncGenerator<string> {
  yield* clauses;
}

async function wordsFor(tts: TextToSpeech, clauses: readonly string[], language = "en") {
  const options = { voice: null, language };
  const signal = new AbortController().signal;
  const speech = speakable(tts).synthesize(clausesOf(clauses), options, signal);
  const parts = await Array.fromAsync(speech);
  return parts.flatMap((part) => part.type === "words" ? [...part.words] : []);
}

Deno.test("a written word is told with the last of its spoken words", async () => {
  const { tts, said } = voice();
  const words = await wordsFor(tts, ["It is $3.50, yes."]);
  assert.equal(said.join(" "), "It is three dollars and fifty cents, yes.");
  assert.deepEqual(words, [
    { text: "It", startMs: 0, endMs: 100 },
    { text: "is", startMs: 100, endMs: 200 },
    { text: "$3.50,", startMs: 200, endMs: 700 },
    { text: "yes.", startMs: 700, endMs: 800 },
  ]);
});

Deno.test("words that are said together end together", async () => {
  const { tts } = voice();
  assert.deepEqual(await wordsFor(tts, ["5 %"]), [
    { text: "5", startMs: 0, endMs: 200 },
    { text: "%", startMs: 200, endMs: 200 },
  ]);
});

Deno.test("an emoji takes no time and is not lost, even alone", async () => {
  const { tts } = voice();
  assert.deepEqual(await wordsFor(tts, ["Hi 👍", "there. 🎉"]), [
    { text: "Hi", startMs: 0, endMs: 100 },
    { text: "👍", startMs: 100, endMs: 100 },
    { text: "there.", startMs: 100, endMs: 200 },
    { text: "🎉", startMs: 200, endMs: 200 },
  ]);
  assert.deepEqual(await wordsFor(tts, ["🎉"]), [{ text: "🎉", startMs: 0, endMs: 0 }]);
});

Deno.test("of a voice that breaks off nothing is told that was not said", async () => {
  const broken: TextToSpeech = {
    provider: "broken",
    async *synthesize(text) {
      for await (const _ of text) {
        yield { type: "words", words: [{ text: "three", startMs: 0, endMs: 100 }] };
        throw new Error("lost");
      }
    },
  };
  const told: SpokenWord[] = [];
  const options = { voice: null, language: "en" };
  const signal = new AbortController().signal;
  await assert.rejects(async () => {
    for await (const part of speakable(broken).synthesize(clausesOf(["$3"]), options, signal)) {
      if (part.type === "words") told.push(...part.words);
    }
  });
  assert.deepEqual(told, []);
});

const word = fc.oneof(
  fc.constantFrom("$5", "5", "%", "👍", "**so**", "z.", "B.", "3:30", "[a", "b](c)", "May", "€"),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 }),
);

Deno.test("its words are the written ones in order, and their times ascend, for any text and cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(word, { maxLength: 8 }), { maxLength: 6 }),
      fc.constantFrom("en", "de", "fr", "es", "nl"),
      fc.integer({ min: 1, max: 4 }),
      async (clauses, language, batch) => {
        const texts = clauses.map((words) => words.join(" "));
        const words = await wordsFor(voice(batch).tts, texts, language);
        assert.deepEqual(words.map(({ text }) => text), texts.flatMap(wordsOf));
        let endedMs = 0;
        for (const { startMs, endMs } of words) {
          assert.ok(startMs >= endedMs && endMs >= startMs);
          endedMs = endMs;
        }
      },
    ),
  );
});
