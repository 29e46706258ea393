/** Resampling between 8 and 16 kHz: what passes, what is kept out, and that streams have no seams. */

import assert from "node:assert/strict";
import { speak } from "@/lib/audio/modem.ts";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";
import { newNarrower, newWidener, WIDE_FRAME_BYTES, WIDE_RATE } from "@/lib/audio/resample.ts";

/** A second of a tone of this frequency, as PCM. */
function tone(hz: number, rate: number): Int16Array {
  return Int16Array.from(
    { length: rate },
    (_, i) => Math.round(10_000 * Math.sin(2 * Math.PI * hz * i / rate)),
  );
}

function bytesOf(samples: Int16Array): Uint8Array {
  return new Uint8Array(samples.buffer);
}

/** How loud it is, without what the filters' beginnings do. */
function rms(samples: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 200; i < samples.length - 200; i++) sum += (samples[i] ?? 0) ** 2;
  return Math.sqrt(sum / (samples.length - 400));
}

function decibels(ratio: number): number {
  return 20 * Math.log10(ratio);
}

for (const hz of [200, 1_000, 2_000, 3_000, 3_400]) {
  Deno.test(`${hz} Hz pass both ways at their level`, () => {
    const wide = tone(hz, WIDE_RATE);
    const down = decodeMulaw(newNarrower().narrow(bytesOf(wide)));
    assert(Math.abs(decibels(rms(down) / rms(wide))) < 0.2, `${decibels(rms(down) / rms(wide))}`);

    const narrow = tone(hz, 8_000);
    const up = new Int16Array(newWidener().widen(encodeMulaw(narrow)).buffer);
    assert(Math.abs(decibels(rms(up) / rms(narrow))) < 0.2, `${decibels(rms(up) / rms(narrow))}`);
  });
}

for (const hz of [4_700, 5_500, 7_000]) {
  Deno.test(`${hz} Hz of a microphone do not fold into the telephone's band`, () => {
    const down = decodeMulaw(newNarrower().narrow(bytesOf(tone(hz, WIDE_RATE))));
    const level = decibels(rms(down) / rms(tone(hz, WIDE_RATE)));
    assert(level < -55, `${level} dB`);
  });
}

Deno.test("what is widened has no image of itself above 4 kHz", () => {
  const up = new Int16Array(newWidener().widen(encodeMulaw(tone(1_000, 8_000))).buffer);
  const image = goertzel(up, 7_000); // 8000 - 1000
  assert(decibels(image / goertzel(up, 1_000)) < -55);
});

/** The level of one frequency. */
function goertzel(samples: Int16Array, hz: number): number {
  let re = 0;
  let im = 0;
  for (let i = 1_000; i < 15_000; i++) {
    const phase = 2 * Math.PI * hz * i / WIDE_RATE;
    re += (samples[i] ?? 0) * Math.cos(phase);
    im += (samples[i] ?? 0) * Math.sin(phase);
  }
  return Math.hypot(re, im);
}

Deno.test("a stream cut anywhere is the same as in one piece", () => {
  const mulaw = speak("A seam would be heard.").audio;
  const whole = newWidener().widen(mulaw);
  const widener = newWidener();
  const parts = [mulaw.subarray(0, 333), mulaw.subarray(333, 1_000), mulaw.subarray(1_000)];
  assert.deepEqual(parts.flatMap((part) => [...widener.widen(part)]), [...whole]);

  const narrower = newNarrower();
  const back = [whole.subarray(0, 642), whole.subarray(642, 4_000), whole.subarray(4_000)];
  assert.deepEqual(
    back.flatMap((part) => [...narrower.narrow(part)]),
    [...newNarrower().narrow(whole)],
  );
});

Deno.test("frames of 20 ms stay frames of 20 ms", () => {
  const narrower = newNarrower();
  for (let i = 0; i < 5; i++) {
    assert.equal(narrower.narrow(new Uint8Array(WIDE_FRAME_BYTES)).length, 160);
  }
});
