/** The simulated voice: what it sends, in which order, and when. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { heardWords } from "@/lib/audio/modem.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import type { Speech } from "@/lib/providers/tts/tts.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const VOICE = { voice: "any", language: "en" };
const RUNS = { seed: 21, numRuns: 100 };

function setUp(options: { firstByteMs?: number; realTimeFactor?: number } = {}) {
  const clock = manualClock();
  const abort = new AbortController();
  const tts = simulatedTts({ clock, ...options });
  const synthesize = (text: AsyncIterable<string>) => tts.synthesize(text, VOICE, abort.signal);
  return { clock, abort, synthesize };
}

const atOnce = { firstByteMs: 0, realTimeFactor: 0 };

async function* pieces(...texts: readonly string[]) {
  yield* texts;
}

async function* neverEnding(text: string) {
  yield text;
  await new Promise(() => {});
}

function audioOf(speech: readonly Speech[]): Uint8Array {
  return Uint8Array.from(speech.flatMap((part) => part.type === "audio" ? [...part.audio] : []));
}

function wordsOf(speech: readonly Speech[]) {
  return speech.flatMap((part) => part.type === "words" ? part.words : []);
}

Deno.test("the words of all pieces, joined by spaces, are what was said; the audio has each at its time", async () => {
  const anyPieces = fc.array(fc.string({ unit: "binary", maxLength: 15 }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(anyPieces, async (texts) => {
      const { synthesize } = setUp(atOnce);
      const speech = await Array.fromAsync(synthesize(pieces(...texts)));
      const words = wordsOf(speech);
      const said = texts.flatMap((text) => text.toWellFormed().split(/\s+/u)).filter(Boolean);
      assert.equal(words.map((word) => word.text).join(" "), said.join(" "));
      assert.deepEqual(
        heardWords(audioOf(speech)),
        words.map(({ text, startMs, endMs }) => (
          { text, startSample: startMs * 8, endSample: endMs * 8, complete: true }
        )),
      );
    }),
    RUNS,
  );
});

Deno.test("a word is sent before the audio of its last sample, in chunks of at most 100 ms", async () => {
  const { synthesize } = setUp(atOnce);
  let sentMs = 0;
  let toldMs = 0;
  for await (const part of synthesize(pieces("Good morning.", " How are you", "today?"))) {
    if (part.type === "words") toldMs = part.words.at(-1)?.endMs ?? toldMs;
    else {
      assert.ok(part.audio.length > 0 && part.audio.length <= 800);
      sentMs += part.audio.length / 8;
    }
    assert.ok(sentMs <= toldMs + 20, `${sentMs} ms sent, words told to ${toldMs}`);
  }
  assert.equal(sentMs, toldMs + 20); // all of it is spoken, and a gap
});

Deno.test("the first audio takes firstByteMs, the rest a part of the time it plays", async () => {
  const { clock, synthesize } = setUp({ firstByteMs: 100, realTimeFactor: 0.1 });
  const times: number[] = [];
  const reading = (async () => {
    for await (const part of synthesize(pieces("Hello"))) {
      if (part.type === "audio") times.push(clock.now());
    }
  })();
  await clock.advance(1_000);
  await reading;
  assert.deepEqual(times.map(Math.round), [110, 120, 130, 136]); // 360 ms of audio
});

Deno.test("a piece is spoken while the next has not been written", async () => {
  const { clock, abort, synthesize } = setUp(atOnce);
  const speech: Speech[] = [];
  const reading = (async () => {
    for await (const part of synthesize(neverEnding("One moment,"))) speech.push(part);
  })();
  await clock.settle();
  assert.deepEqual(heardWords(audioOf(speech)).map((word) => word.text), ["One", "moment,"]);
  abort.abort(new Error("barged in"));
  await assert.rejects(reading, { message: "barged in" });
});

Deno.test("an abort ends a synthesis that is waiting for its first audio", async () => {
  const { clock, abort, synthesize } = setUp();
  const speech = synthesize(pieces("Hello"))[Symbol.asyncIterator]();
  assert.equal((await speech.next()).value?.type, "words");
  const waiting = speech.next();
  await clock.advance(50);
  abort.abort(new Error("barged in"));
  await assert.rejects(waiting, { message: "barged in" });
  assert.deepEqual(await speech.next(), { done: true, value: undefined });
  assert.equal(clock.armed, 0);
});

Deno.test("an error of the text's source ends the synthesis", async () => {
  const { synthesize } = setUp(atOnce);
  async function* failing() {
    yield "Hello";
    throw new Error("no more tokens");
  }
  await assert.rejects(Array.fromAsync(synthesize(failing())), { message: "no more tokens" });
});

Deno.test("text without words is silent, and ends", async () => {
  const { synthesize } = setUp(atOnce);
  assert.deepEqual(await Array.fromAsync(synthesize(pieces("", "  "))), []);
});
