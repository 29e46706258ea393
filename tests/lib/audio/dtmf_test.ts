/** Key tones: what is made is heard, through noise and loss; speech and single tones are no key. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { dialTones, KeyEar } from "@/lib/audio/dtmf.ts";
import { BYTES_PER_MS, SILENCE } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";

const ALL = "0123456789ABCD*#";

function heard(audio: Uint8Array, chunk = 160): string {
  const ear = new KeyEar();
  let keys = "";
  for (let at = 0; at < audio.length; at += chunk) keys += ear.take(audio.subarray(at, at + chunk));
  return keys;
}

function changed(audio: Uint8Array, change: (sample: number, at: number) => number): Uint8Array {
  return encodeMulaw(Int16Array.from(decodeMulaw(audio), change));
}

/** A tone of one or two frequencies. */
function tones(ms: number, ...parts: readonly (readonly [hz: number, amplitude: number])[]) {
  const samples = Int16Array.from(
    { length: ms * BYTES_PER_MS },
    (_, i) =>
      parts.reduce((sum, [hz, level]) => sum + level * Math.sin(2 * Math.PI * hz * i / 8000), 0),
  );
  return encodeMulaw(samples);
}

Deno.test("every key that is dialled is heard once, also twice in a row", () => {
  for (const key of ALL) assert.equal(heard(dialTones(key + key)), key + key);
});

Deno.test("keys are heard in any chunking, at any phase and level down to -30 dBFS", () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[0-9A-D*#]{1,8}$/),
      fc.integer({ min: 1, max: 400 }),
      fc.nat(300),
      fc.double({ min: 0.1, max: 1, noNaN: true }),
      (keys, chunk, lead, level) => {
        const dialled = dialTones(keys);
        const audio = new Uint8Array(lead + dialled.length).fill(SILENCE);
        audio.set(dialled, lead);
        assert.equal(heard(changed(audio, (sample) => sample * level), chunk), keys);
      },
    ),
  );
});

Deno.test("keys are heard over noise 15 dB below them", () => {
  let seed = 1;
  const noise = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return (seed / 2_147_483_648 - 0.5) * 2;
  };
  // Uniform noise has a third of its peak's square as power; the two tones have A².
  const peak = 32_768 * 10 ** (-9 / 20) * 10 ** (-15 / 20) * Math.sqrt(3);
  assert.equal(heard(changed(dialTones(ALL), (sample) => sample + noise() * peak)), ALL);
});

Deno.test("a key is one key when a packet of its tone is lost", () => {
  const audio = dialTones("5");
  audio.fill(SILENCE, 50 * BYTES_PER_MS, 60 * BYTES_PER_MS);
  assert.equal(heard(audio), "5");
});

Deno.test("a tone of 40 ms is heard, and one of 20 ms is not (Q.24)", () => {
  const pair = [[770, 8_000], [1336, 8_000]] as const;
  const padded = (ms: number, lead: number): Uint8Array => {
    const audio = new Uint8Array(lead + 1_000 + ms * BYTES_PER_MS).fill(SILENCE);
    audio.set(tones(ms, ...pair), lead);
    return audio;
  };
  for (let lead = 0; lead < 110; lead++) {
    assert.equal(heard(padded(40, lead)), "5", `lead ${lead}`);
    assert.equal(heard(padded(20, lead)), "", `lead ${lead}`);
  }
});

Deno.test("one frequency, a twist past 8 dB, the ring back tone and speech are no key", () => {
  assert.equal(heard(tones(500, [770, 8_000])), "");
  assert.equal(heard(tones(500, [770, 8_000], [1336, 2_000])), "");
  assert.equal(heard(tones(500, [440, 8_000], [480, 8_000])), "");
  assert.equal(heard(speak("Hello, this is a sentence of some length, and no key.").audio), "");
});

Deno.test("a wait is silent for half a second, and what is no key makes no sound", () => {
  assert.equal(dialTones("w").length, 4_000);
  assert.ok(dialTones("w").every((byte) => byte === SILENCE));
  assert.equal(dialTones("x €").length, 0);
  assert.equal(heard(dialTones("1w2")), "12");
});
