/** Beeps: heard, and told from speech, keys and silence. */

import assert from "node:assert/strict";
import { BEEP_MS, BeepEar } from "@/lib/audio/beep.ts";
import { dialTones } from "@/lib/audio/dtmf.ts";
import { BYTES_PER_MS, SAMPLE_RATE } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { encodeMulaw } from "@/lib/audio/mulaw.ts";

function tone(hz: number, forMs: number, level = 8_000): Uint8Array {
  return encodeMulaw(
    Int16Array.from(
      { length: forMs * BYTES_PER_MS },
      (_, i) => Math.round(level * Math.sin(2 * Math.PI * hz * i / SAMPLE_RATE)),
    ),
  );
}

/** In pieces of so many bytes. */
function beeps(audio: Uint8Array, bytes = 160): number {
  const ear = new BeepEar();
  let count = 0;
  for (let at = 0; at < audio.length; at += bytes) {
    if (ear.take(audio.subarray(at, at + bytes))) count++;
  }
  return count;
}

for (const hz of [400, 440, 850, 1_000, 1_400, 2_000]) {
  Deno.test(`a beep of ${hz} Hz is heard once, loud or soft, in any chunking`, () => {
    assert.equal(beeps(tone(hz, 400)), 1);
    assert.equal(beeps(tone(hz, 400, 1_000)), 1);
    assert.equal(beeps(tone(hz, 1_000), 333), 1);
  });
}

Deno.test("what is no beep is not heard as one", () => {
  assert.equal(beeps(tone(1_000, BEEP_MS - 40)), 0, "short");
  assert.equal(beeps(tone(50, 1_000)), 0, "a hum");
  assert.equal(beeps(new Uint8Array(8_000).fill(0xff)), 0, "silence");
  assert.equal(beeps(dialTones("1234567890*#")), 0, "keys");
  assert.equal(beeps(speak("Please leave a message after the tone.").audio), 0, "speech");
});
