/** The ear of a microphone: simulated speech at any level, between samples, through filters and noise. */

import assert from "node:assert/strict";
import { newEar } from "@/lib/audio/ear.ts";
import { speak } from "@/lib/audio/modem.ts";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";
import { newNarrower, newWidener } from "@/lib/audio/resample.ts";
import { prng } from "@/tests/support/actor_kit.ts";

const SAID = "Yes, tomorrow at nine. Grüße!";

/** What is heard of it, as the text of whole words. */
function wordsIn(mulaw: Uint8Array, chunk = 160): string {
  const ear = newEar();
  const words: string[] = [];
  for (let at = 0; at < mulaw.length; at += chunk) {
    for (const heard of ear.push(mulaw.subarray(at, at + chunk))) {
      if (heard.type === "word") words.push(heard.text);
    }
  }
  return words.join(" ");
}

/** Said after a pause, and before one. */
function said(text: string): Uint8Array {
  const silence = new Uint8Array(1_600).fill(0xff);
  return new Uint8Array([...silence, ...speak(text).audio, ...silence]);
}

/** As 16 kHz PCM, so many of its samples late. */
function wide(text: string, lateSamples = 0): Int16Array {
  const pcm = new Int16Array(newWidener().widen(said(text)).buffer);
  return new Int16Array([...new Int16Array(lateSamples), ...pcm]);
}

function narrowed(pcm: Int16Array): Uint8Array {
  return newNarrower().narrow(new Uint8Array(pcm.buffer));
}

Deno.test("the ear hears what comes off a line as it was sent", () => {
  assert.equal(wordsIn(said(SAID)), SAID);
  assert.equal(wordsIn(said(SAID), 1_000), SAID);
});

for (const late of [0, 1, 2, 3]) {
  Deno.test(`simulated speech survives the way to a browser and back, ${late} samples late`, () => {
    assert.equal(wordsIn(narrowed(wide(SAID, late))), SAID);
  });
}

for (const gain of [0.1, 0.4, 1.5]) {
  Deno.test(`it is heard at ${gain} of its level`, () => {
    const pcm = wide(SAID, 1).map((sample) => Math.max(-32_768, Math.min(32_767, sample * gain)));
    assert.equal(wordsIn(narrowed(pcm)), SAID);
  });
}

Deno.test("it is heard in noise of a tenth of its level", () => {
  const random = prng(3);
  const noisy = decodeMulaw(said(SAID)).map((sample) => sample + (random() - 0.5) * 2_000);
  assert.equal(wordsIn(encodeMulaw(noisy)), SAID);
});

Deno.test("noise and voices are no words, and nothing is taken for their beginning", () => {
  const random = prng(5);
  const voice = Int16Array.from({ length: 40_000 }, (_, i) => {
    const pitch = 120 + 30 * Math.sin(i / 3_000);
    const vowel = [1, 2, 3, 5, 8, 13].reduce(
      (sum, n) => sum + Math.sin(2 * Math.PI * pitch * n * i / 8_000) / n,
      0,
    );
    return 5_000 * vowel * Math.sin(i / 2_000) + (random() - 0.5) * 500;
  });
  assert.deepEqual(newEar().push(encodeMulaw(voice)), []);
  const hiss = Int16Array.from({ length: 40_000 }, () => (random() - 0.5) * 20_000);
  assert.deepEqual(newEar().push(encodeMulaw(hiss)), []);
});

Deno.test("a word that breaks off is cut, and the next one is heard", () => {
  const half = speak("interrupted").audio.subarray(0, 2_400);
  const audio = new Uint8Array([...half, ...new Uint8Array(1_600).fill(0xff), ...said("again")]);
  const heard = newEar().push(audio);
  assert.deepEqual(heard.map(({ type }) => type), ["opened", "cut", "opened", "word"]);
});
