/** Levels: what counts as heard. */

import assert from "node:assert/strict";
import { isAudible, levelDbfs } from "@/lib/audio/energy.ts";
import { FRAME_BYTES, SILENCE } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { encodeMulaw } from "@/lib/audio/mulaw.ts";

const silence = new Uint8Array(FRAME_BYTES).fill(SILENCE);

function sine(amplitude: number): Uint8Array {
  return encodeMulaw(
    Int16Array.from({ length: 800 }, (_, i) => amplitude * 32_768 * Math.sin(i * Math.PI / 4)),
  );
}

Deno.test("the level of a sine wave is 3 dB below that of its peak", () => {
  for (const [amplitude, level] of [[0.5, -9.03], [0.1, -23.01], [0.01, -43.01]] as const) {
    assert.ok(Math.abs(levelDbfs(sine(amplitude)) - level) < 0.3, `${levelDbfs(sine(amplitude))}`);
  }
});

Deno.test("silence has no level, nor has no audio", () => {
  assert.equal(levelDbfs(silence), -Infinity);
  assert.equal(levelDbfs(silence.map(() => 0x7f)), -Infinity);
  assert.equal(levelDbfs(new Uint8Array(0)), -Infinity);
});

Deno.test("simulated speech is audible from its first 20 ms, a quiet line is not", () => {
  assert.ok(isAudible(speak("Hello").audio.subarray(0, FRAME_BYTES)));
  assert.ok(!isAudible(silence));
  assert.ok(!isAudible(sine(0.005)));
});
