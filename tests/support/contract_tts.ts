/** What every voice must do, run by the test of each: their providers speak the tones of lib/audio/modem. */

import assert from "node:assert/strict";
import { heardWords } from "@/lib/audio/modem.ts";
import type { Speech, SpokenWord, TextToSpeech } from "@/lib/providers/tts/tts.ts";
import {
  never,
  type Streaming,
  testFaults,
  testProvider,
  testStreaming,
} from "./contract_provider.ts";

const OPTIONS = { voice: null, language: "en" };
const CLAUSES = [
  "Good morning, this is Brightsmile dental clinic.",
  "How can I help you today?",
  "I have ten o'clock, or half past four!",
];

export interface VoiceTraits {
  /** True when the provider says when words are spoken, false when the adapter estimates. */
  readonly hasTimes: boolean;
}

async function* pieces(...texts: readonly string[]): AsyncGenerator<string> {
  yield* texts;
}

async function* thenHanging(text: AsyncIterable<string>) {
  yield* text;
  await new Promise(() => {});
}

async function* thenFailing(text: AsyncIterable<string>) {
  yield* text;
  throw new Error("source failed");
}

export function testTextToSpeech(
  name: string,
  traits: VoiceTraits,
  make: () => Promise<Streaming<TextToSpeech>>,
): void {
  function test(
    sentence: string,
    texts: readonly string[],
    check: (speech: readonly Speech[]) => void,
  ): void {
    testStreaming(`${name} ${sentence}`, make, async ({ adapter }) => {
      check(await Array.fromAsync(adapter.synthesize(pieces(...texts), OPTIONS, never())));
    });
  }

  test("speaks all of the text, and nothing else", CLAUSES, (speech) => {
    const heard = heardWords(audioOf(speech));
    assert.ok(heard.every(({ complete }) => complete));
    assert.equal(heard.map(({ text }) => text).join(" "), CLAUSES.join(" "));
  });

  test("tells every word once, as it was written and in order", CLAUSES, (speech) => {
    assert.equal(wordsOf(speech).map(({ text }) => text).join(" "), CLAUSES.join(" "));
  });

  test(
    "takes pieces with any space around them",
    [" One,\n", "  two  three ", " ", "four."],
    (speech) => {
      assert.equal(wordsOf(speech).map(({ text }) => text).join(" "), "One, two three four.");
      assert.equal(heardWords(audioOf(speech)).length, 4);
    },
  );

  test("says of no word that it ended before it did", CLAUSES, (speech) => {
    const heard = heardWords(audioOf(speech));
    for (const [i, { text, endMs }] of wordsOf(speech).entries()) {
      const trueEndMs = (heard[i]?.endSample ?? NaN) / 8;
      // Providers round to a millisecond, and not always up.
      assert.ok(endMs >= trueEndMs - 1, `"${text}" ended at ${trueEndMs}, told as ${endMs}`);
      const latestMs = traits.hasTimes ? trueEndMs + 1 : lateBy(heard, i, 2);
      assert.ok(endMs <= latestMs, `"${text}" ended at ${trueEndMs}, told as ${endMs}`);
    }
  });

  test("sends a word before the audio of its last sample", CLAUSES, (speech) => {
    let sentMs = 0;
    for (const part of speech) {
      if (part.type === "audio") sentMs += part.audio.length / 8;
      else for (const { text, endMs } of part.words) assert.ok(endMs > sentMs, `"${text}" is late`);
    }
  });

  test("orders its words", CLAUSES, (speech) => {
    let endedMs = 0;
    for (const { startMs, endMs } of wordsOf(speech)) {
      assert.ok(startMs >= endedMs - 1e-6 && endMs >= startMs);
      endedMs = endMs;
    }
  });

  test("sends no empty audio and no empty list of words", CLAUSES, (speech) => {
    for (const part of speech) {
      assert.ok(part.type === "audio" ? part.audio.length > 0 : part.words.length > 0);
    }
  });

  for (const texts of [[], [" "]]) {
    test(`has nothing to say for ${JSON.stringify(texts)}`, texts, (speech) => {
      assert.deepEqual(speech, []);
    });
  }

  testStreaming(`${name} begins before the text has ended`, make, async ({ adapter }) => {
    const text = thenHanging(pieces(CLAUSES[0] ?? ""));
    const types = new Set<string>();
    for await (const { type } of adapter.synthesize(text, OPTIONS, never())) {
      types.add(type);
      if (type === "audio") break;
    }
    assert.ok(types.has("audio"));
  });

  testProvider(
    name,
    make,
    (tts, signal) => tts.synthesize(thenHanging(pieces(...CLAUSES)), OPTIONS, signal),
    (tts, signal) => tts.synthesize(thenFailing(pieces(...CLAUSES)), OPTIONS, signal),
  );
}

export function testTextToSpeechFaults(
  name: string,
  make: () => Promise<Streaming<TextToSpeech>>,
): void {
  testFaults(name, make, (tts, signal) => tts.synthesize(pieces(...CLAUSES), OPTIONS, signal));
}

export function audioOf(speech: readonly Speech[]): Uint8Array {
  return Uint8Array.from(speech.flatMap((part) => part.type === "audio" ? [...part.audio] : []));
}

export function wordsOf(speech: readonly Speech[]): SpokenWord[] {
  return speech.flatMap((part) => part.type === "words" ? part.words : []);
}

/** When the word that comes `count` words after the word at `index` has ended, or the last. */
function lateBy(
  heard: readonly { readonly endSample: number }[],
  index: number,
  count: number,
): number {
  return (heard[Math.min(index + count, heard.length - 1)]?.endSample ?? NaN) / 8 + 100;
}
