/** Mixing: sums of samples that saturate, and a loop that goes round without a gap. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { SILENCE } from "@/lib/audio/frame.ts";
import { atLoudness, newLoop } from "@/lib/audio/mix.ts";
import { encodeMulaw, MULAW_SAMPLES } from "@/lib/audio/mulaw.ts";

const bytes = fc.uint8Array({ minLength: 1, maxLength: 400 });

/** What is said of one byte and one of the loop, by arithmetic alone. */
function sumOf(byte: number, other: number): number {
  const sum = (MULAW_SAMPLES[byte] ?? 0) + (MULAW_SAMPLES[other] ?? 0);
  return encodeMulaw(Int16Array.of(Math.max(-32_767, Math.min(32_767, sum))))[0] ?? 0;
}

Deno.test("a mix is the saturated sum, round the loop's end, in frames of any size", () => {
  fc.assert(
    fc.property(bytes, bytes, fc.integer({ min: 1, max: 200 }), (speech, ambience, size) => {
      const loop = newLoop(atLoudness(ambience, 0));
      const mixed = speech.slice();
      for (let at = 0; at < mixed.length; at += size) loop.addTo(mixed.subarray(at, at + size));
      const expected = speech.map((byte, i) => sumOf(byte, ambience[i % ambience.length] ?? 0));
      assert.deepEqual(mixed, expected);
    }),
  );
});

Deno.test("a loop is quieter by its gain, and silence adds nothing", () => {
  const mixed = new Uint8Array(160).fill(SILENCE);
  newLoop(atLoudness(encodeMulaw(Int16Array.of(10_000)), -20)).addTo(mixed);
  assert.ok(mixed.every((byte) => Math.abs((MULAW_SAMPLES[byte] ?? 0) - 1_000) < 40));
  newLoop(atLoudness(Uint8Array.of(SILENCE), 0)).addTo(mixed);
  assert.ok(mixed.every((byte) => Math.abs((MULAW_SAMPLES[byte] ?? 0) - 1_000) < 40));
});

Deno.test("a loop of no audio is refused", () => {
  assert.throws(() => newLoop(new Uint8Array(0)));
});
