/** Voice activity: on a quiet line, in noise of several kinds, and what is no voice. */

import assert from "node:assert/strict";
import { FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { encodeMulaw } from "@/lib/audio/mulaw.ts";
import { Vad } from "@/lib/audio/vad.ts";
import { prng } from "@/tests/support/actor_kit.ts";

const SAMPLES_MS = 8;

/** Noise of a level, dB below full scale. */
function noise(ms: number, dbfs: number, random: () => number): Float64Array {
  const amplitude = 10 ** (dbfs / 20) * Math.sqrt(3); // of an even spread, for that power
  return Float64Array.from({ length: ms * SAMPLES_MS }, () => (random() * 2 - 1) * amplitude);
}

/**
 * As a voice is shaped: a pitch of 120 Hz with its harmonics, in syllables of 180 ms with 40 ms between
 * them, a pause of 100 ms after every fourth.
 */
function voice(ms: number, dbfs: number): Float64Array {
  const level = 10 ** (dbfs / 20);
  return Float64Array.from({ length: ms * SAMPLES_MS }, (_, n) => {
    const at = n / SAMPLES_MS;
    const inWord = at % 980;
    const inSyllable = inWord % 220;
    if (inWord >= 880 || inSyllable >= 180) return 0;
    const shape = Math.sin(Math.PI * inSyllable / 180);
    const t = n / 8_000;
    let sum = 0;
    for (let k = 1; k <= 12; k++) sum += Math.sin(2 * Math.PI * 120 * k * t) / k;
    return sum * shape * level * 1.3;
  });
}

function mixed(...parts: readonly Float64Array[]): Uint8Array {
  const length = Math.max(...parts.map((part) => part.length));
  return encodeMulaw(
    Int16Array.from(
      { length },
      (_, n) =>
        Math.round(32_767 * Math.max(-1, Math.min(1, parts.reduce((s, p) => s + (p[n] ?? 0), 0)))),
    ),
  );
}

/** What an ear says of each frame. */
function listen(audio: Uint8Array, vad = new Vad()): number[] {
  const said: number[] = [];
  for (let at = 0; at + FRAME_BYTES <= audio.length; at += FRAME_BYTES) {
    said.push(vad.take(audio.subarray(at, at + FRAME_BYTES)));
  }
  return said;
}

function share(said: readonly number[]): number {
  return said.filter((ms) => ms > 0).length / said.length;
}

Deno.test("speech is noticed within 100 ms on a quiet line, and its end within 300 ms", () => {
  const vad = new Vad();
  assert.equal(share(listen(new Uint8Array(8_000).fill(SILENCE), vad)), 0);
  const said = listen(mixed(voice(2_000, -25)), vad);
  assert.ok(said.findIndex((ms) => ms > 0) * FRAME_MS <= 100);
  assert.ok(share(said) > 0.95, `${share(said)}`);
  const after = listen(new Uint8Array(8_000).fill(SILENCE), vad);
  assert.ok(after.findLastIndex((ms) => ms > 0) * FRAME_MS <= 300);
});

Deno.test("speech is told from noise 15 dB below it, and noise from speech, on a hundred lines", () => {
  let heard = 0;
  let imagined = 0;
  for (let seed = 0; seed < 100; seed++) {
    const random = prng(seed);
    const level = -45 + random() * 10;
    const vad = new Vad();
    imagined += share(listen(mixed(noise(4_000, level, random)), vad).slice(100));
    heard += share(listen(mixed(voice(2_000, level + 15), noise(2_000, level, random)), vad));
  }
  assert.ok(heard / 100 > 0.9, `heard ${heard} %`);
  assert.ok(imagined / 100 < 0.01, `imagined ${imagined} %`);
});

Deno.test("a click is no speech, and neither is a line that is merely loud", () => {
  const click = new Float64Array(8_000);
  click.fill(0.5, 4_000, 4_100);
  assert.equal(share(listen(mixed(click))), 0);
  const random = prng(3);
  const hum = listen(mixed(noise(60_000, -38, random)));
  assert.equal(share(hum.slice(-500)), 0, "the floor has come up to it");
});

Deno.test("how long speech has gone on is told in frames", () => {
  const said = listen(mixed(voice(1_000, -25))).filter((ms) => ms > 0);
  assert.deepEqual(said.slice(0, 3), [60, 80, 100]);
});
