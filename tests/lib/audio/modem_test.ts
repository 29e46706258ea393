/** Simulated speech: text through audio and back, cut, noisy, in any pieces. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { SAMPLE_RATE, SILENCE } from "@/lib/audio/frame.ts";
import { type Heard, heardWords, newDecoder, newVoice, speak } from "@/lib/audio/modem.ts";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";

const RUNS = { seed: 11, numRuns: 150 };
const PROSE = "Thank you for calling the Bright Smile dental clinic, how can I help you today? " +
  "I would like to see the dentist on Tuesday afternoon, if that is possible. Certainly! " +
  "We have a free slot at half past three. Shall I book it for you?";

/** Any Unicode, in several words, some of more than one byte a letter. */
const anyText = fc.array(fc.string({ unit: "binary", maxLength: 8 }), { maxLength: 6 })
  .map((parts) => parts.join(" "));
const silence = (samples: number) => new Uint8Array(samples).fill(SILENCE);

function wordsOf(text: string): string[] {
  return text.toWellFormed().split(/\s+/u).filter((word) => word !== "");
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function completeWords(audio: Uint8Array): string[] {
  return heardWords(audio).filter((word) => word.complete).map((word) => word.text);
}

/** Everything a decoder hears in `audio`, given in chunks of the sizes in turn. */
function decodedInChunks(audio: Uint8Array, sizes: readonly number[]): Heard[] {
  const decoder = newDecoder();
  const heard: Heard[] = [];
  let at = 0;
  for (let i = 0; at < audio.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    heard.push(...decoder.push(audio.subarray(at, at + size)));
    at += size;
  }
  return [...heard, ...decoder.end()];
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let bits = Math.imul(seed ^ seed >>> 15, 1 | seed);
    bits = bits + Math.imul(bits ^ bits >>> 7, 61 | bits) ^ bits;
    return ((bits ^ bits >>> 14) >>> 0) / 2 ** 32;
  };
}

/** With Gaussian noise at a level below full scale, as the line adds it before the codec. */
function withNoise(audio: Uint8Array, dbfs: number, seed: number): Uint8Array {
  const next = random(seed);
  const deviation = 32_768 * 10 ** (dbfs / 20);
  return encodeMulaw(
    decodeMulaw(audio).map((sample) => {
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
      return Math.max(-32_768, Math.min(32_767, sample + deviation * normal));
    }),
  );
}

Deno.test("any text comes back from its audio, in any chunks, at any alignment, to the sample", () => {
  fc.assert(
    fc.property(
      anyText,
      fc.nat(2_000),
      fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 5 }),
      (text, before, sizes) => {
        const { audio, words } = speak(text);
        const heard = decodedInChunks(joined(silence(before), audio, silence(300)), sizes);
        assert.deepEqual(words.map((word) => word.text), wordsOf(text));
        assert.deepEqual(
          heard,
          words.flatMap(({ text, startMs, endMs }) => {
            const startSample = before + startMs * 8;
            const endSample = before + endMs * 8;
            return [{ type: "opened", startSample }, {
              type: "word",
              text,
              startSample,
              endSample,
            }];
          }),
        );
      },
    ),
    RUNS,
  );
});

Deno.test("a byte order mark is white space and half a surrogate pair is U+FFFD", () => {
  assert.deepEqual(completeWords(speak("\uFEFFa\uFEFFb c\uD800").audio), ["a", "b", "c\uFFFD"]);
});

Deno.test("text without words is no audio", () => {
  assert.deepEqual(speak(" \n\t "), { audio: new Uint8Array(0), words: [] });
});

Deno.test("speech goes at about 15 letters a second", () => {
  const pace = PROSE.length / (speak(PROSE).audio.length / SAMPLE_RATE);
  assert.ok(pace >= 12 && pace <= 18, `${pace}`);
});

Deno.test("98 % of speech is within the telephone band", () => {
  const samples = decodeMulaw(speak("aß").audio);
  let within = 0;
  let all = 0;
  for (let k = 0; k < samples.length / 2; k++) {
    const [turn, hz] = [2 * Math.PI * k / samples.length, k * SAMPLE_RATE / samples.length];
    const real = samples.reduce((sum, sample, i) => sum + sample * Math.cos(turn * i), 0);
    const imaginary = samples.reduce((sum, sample, i) => sum + sample * Math.sin(turn * i), 0);
    const power = real ** 2 + imaginary ** 2;
    all += power;
    if (hz >= 300 && hz <= 3400) within += power;
  }
  assert.ok(within / all > 0.98, `${within / all}`);
});

Deno.test("word times do not overlap, and the audio goes on for one gap after the last word", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const { audio, words } = speak(text);
      let end = -20;
      for (const word of words) {
        assert.ok(word.startMs >= end + 20 && word.endMs > word.startMs);
        end = word.endMs;
      }
      assert.equal(audio.length / 8, end + 20);
    }),
    RUNS,
  );
});

Deno.test("a word ends with a frame, so that the mark behind the frame is exact", () => {
  for (const { startMs, endMs } of speak("Yes.” No! Grüß Gott, 3.50 and 猫").words) {
    assert.deepEqual([startMs % 20, endMs % 20], [0, 0]);
  }
});

Deno.test("there is a pause after a sentence and none at the end", () => {
  const [yes, no] = speak("Yes.” No!").words;
  assert.equal((no?.startMs ?? 0) - (yes?.endMs ?? 0), 20 + 120);
});

Deno.test("pieces spoken by one voice sound as the whole", () => {
  const voice = newVoice();
  const parts = ["Hello there. ", "", " How are", "you?"].flatMap((piece) => [...voice.say(piece)]);
  const whole = speak("Hello there. How are you?");
  assert.deepEqual(parts.map((part) => part.word), whole.words);
  assert.deepEqual(joined(...parts.map((part) => part.audio)), joined(whole.audio));
});

Deno.test("audio cut anywhere holds the words whose last sample it has, and no other", () => {
  const { audio, words } = speak("Oh dear. No");
  for (let cut = 0; cut <= audio.length; cut++) {
    const expected = words.filter((word) => word.endMs * 8 <= cut).map((word) => word.text);
    const heard = audio.subarray(0, cut);
    assert.deepEqual(completeWords(heard), expected, `ended after ${cut}`);
    assert.deepEqual(completeWords(joined(heard, silence(700))), expected, `silent after ${cut}`);
  }
});

Deno.test("new speech right after a cut is heard whole, wherever the cut is", () => {
  const { audio, words } = speak("Hm no");
  const next = speak("I see");
  for (let cut = 0; cut <= audio.length; cut++) {
    const expected = words.filter((word) => word.endMs * 8 <= cut).map((word) => word.text);
    const heard = heardWords(joined(audio.subarray(0, cut), next.audio));
    const complete = heard.filter((word) => word.complete);
    assert.deepEqual(complete.map((word) => word.text), [...expected, "I", "see"], `cut ${cut}`);
    assert.deepEqual(
      complete.slice(-2).map((word) => [word.startSample - cut, word.endSample - cut]),
      next.words.map((word) => [word.startMs * 8, word.endMs * 8]),
    );
  }
});

Deno.test("random cuts of random speech, followed by other speech, silence or nothing", () => {
  fc.assert(
    fc.property(
      anyText,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(1_500),
      anyText,
      (text, part, gap, then) => {
        const first = speak(text);
        const cut = Math.round(part * first.audio.length);
        const expected = first.words.filter((word) => word.endMs * 8 <= cut);
        const audio = joined(first.audio.subarray(0, cut), silence(gap), speak(then).audio);
        const words = [...expected.map((word) => word.text), ...wordsOf(then)];
        assert.deepEqual(completeWords(audio), words);
      },
    ),
    RUNS,
  );
});

Deno.test("a word that breaks off is told, with what it had come to", () => {
  const { audio } = speak("Hello");
  const cut = audio.subarray(0, 192 + 2 * 480 + 300); // the opening, two letters and most of a third
  assert.deepEqual(heardWords(joined(silence(50), cut, silence(600))), [
    { text: "He", startSample: 50, endSample: 50 + 192 + 2 * 480, complete: false },
  ]);
});

Deno.test("noise at -40 dBFS changes no word and no time", () => {
  const { audio, words } = speak(PROSE);
  const line = joined(silence(1_234), audio, silence(900));
  for (let seed = 0; seed < 10; seed++) {
    assert.deepEqual(
      heardWords(withNoise(line, -40, seed)),
      words.map(({ text, startMs, endMs }) => ({
        text,
        startSample: 1_234 + startMs * 8,
        endSample: 1_234 + endMs * 8,
        complete: true,
      })),
    );
  }
});

Deno.test("under noise a word that misses eight samples or more is not heard", () => {
  const { audio } = speak("Hello");
  for (let missing = 8; missing < audio.length - 192; missing += 7) {
    const cut = joined(audio.subarray(0, audio.length - 192 - missing), silence(900));
    assert.deepEqual(completeWords(withNoise(cut, -40, missing)), [], `${missing} missing`);
  }
});

Deno.test("every µ-law byte off by one changes no word", () => {
  const next = random(5);
  const off = speak(PROSE).audio.map((byte) =>
    // The low seven bits are a magnitude: one more or less never changes the sign.
    byte & 0x80 | Math.max(0, Math.min(0x7f, (byte & 0x7f) + (next() < 0.5 ? -1 : 1)))
  );
  assert.deepEqual(completeWords(off), wordsOf(PROSE));
});

Deno.test("a decoder that starts within a word hears those after it", () => {
  const { audio } = speak("Hello again, my friend");
  assert.deepEqual(completeWords(audio.subarray(1_000)), ["again,", "my", "friend"]);
});

Deno.test("loud noise is no speech, and hides none after it", () => {
  const next = random(3);
  const loud = Uint8Array.from({ length: 20_000 }, () => next() * 256);
  const heard = heardWords(joined(loud, speak("Hello").audio));
  assert.deepEqual(heard.map((word) => word.text), ["Hello"]);
});

Deno.test("a decoder knows up to where it is quiet, and within a word does not say so", () => {
  const decoder = newDecoder();
  const { audio } = speak("Hi");
  decoder.push(silence(500));
  assert.equal(decoder.quietUntil(), 500);
  decoder.push(audio.subarray(0, 200));
  assert.equal(decoder.quietUntil(), null);
  decoder.push(audio.subarray(200));
  decoder.push(silence(800));
  assert.equal(decoder.quietUntil(), 500 + audio.length + 800);
});
