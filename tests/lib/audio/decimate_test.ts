/** Wideband to telephone rate: what may pass passes, what may not is gone, and nothing is late. */

import assert from "node:assert/strict";
import { newDecimator } from "@/lib/audio/decimate.ts";

function tone(hz: number, rate: number, ms: number): Int16Array {
  const count = Math.round(rate * ms / 1000);
  return Int16Array.from(
    { length: count },
    (_, i) => 16_000 * Math.sin(2 * Math.PI * hz * i / rate),
  );
}

/** In decibels against the tone that went in, without its beginning and end. */
function gain(hz: number, factor: number): number {
  const decimator = newDecimator(factor);
  const out = [...decimator.push(tone(hz, factor * 8_000, 500)), ...decimator.end()].slice(
    200,
    -200,
  );
  const power = out.reduce((sum, sample) => sum + sample * sample, 0) / out.length;
  return 10 * Math.log10(power / (16_000 ** 2 / 2) + 1e-12);
}

for (const factor of [2, 3]) {
  Deno.test(`telephone speech passes from ${8 * factor} kHz, and nothing folds back into it`, () => {
    for (const hz of [100, 300, 1_000, 2_000, 3_000, 3_400]) {
      assert.ok(Math.abs(gain(hz, factor)) < 0.1, `${hz} Hz: ${gain(hz, factor)} dB`);
    }
    for (const hz of [4_400, 5_000, 6_000, 7_000, 7_900].filter((hz) => hz < factor * 4_000)) {
      assert.ok(gain(hz, factor) < -58, `${hz} Hz: ${gain(hz, factor)} dB`);
    }
  });
}

Deno.test("a click stays where it was, and as much comes out as went in", () => {
  const samples = new Int16Array(3 * 800);
  samples[3 * 400] = 30_000;
  const decimator = newDecimator(3);
  const out = [...decimator.push(samples), ...decimator.end()];
  assert.equal(out.length, 800);
  assert.equal(out.indexOf(Math.max(...out)), 400);
});

Deno.test("samples in any pieces make the same audio", () => {
  const samples = tone(440, 24_000, 100);
  const whole = newDecimator(3);
  const expected = [...whole.push(samples), ...whole.end()];
  for (const size of [1, 2, 7, 100, 999]) {
    const decimator = newDecimator(3);
    const out: number[] = [];
    for (let at = 0; at < samples.length; at += size) {
      out.push(...decimator.push(samples.slice(at, at + size)));
    }
    out.push(...decimator.end());
    assert.deepEqual(out, expected, `pieces of ${size}`);
  }
});

Deno.test("what is too loud is cut off and does not wrap around", () => {
  const decimator = newDecimator(3);
  const square = Int16Array.from({ length: 2_400 }, (_, i) => i % 48 < 24 ? 32_767 : -32_768);
  const out = [...decimator.push(square), ...decimator.end()].slice(100, -100);
  for (let i = 1; i < out.length; i++) {
    assert.ok(Math.abs((out[i] ?? 0) - (out[i - 1] ?? 0)) < 60_000);
  }
  assert.equal(Math.max(...out), 32_767);
});
