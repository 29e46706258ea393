/** Sounds of rooms: each its own, at one loudness, and a loop that nobody hears the end of. */

import assert from "node:assert/strict";
import { ambience, AMBIENT_SOUNDS, LOOP_MS, looped } from "@/lib/audio/ambience.ts";
import { decodeMulaw } from "@/lib/audio/mulaw.ts";

const rest = (): Promise<void> => Promise.resolve();

function loudness(samples: Int16Array): number {
  return Math.sqrt(samples.reduce((sum, it) => sum + it * it, 0) / samples.length);
}

/** How far the sound is from one sample to the next, round the loop. */
function steps(samples: Int16Array): number[] {
  return [...samples].map((it, at) => Math.abs(it - (samples.at(at - 1) ?? 0)));
}

for (const sound of AMBIENT_SOUNDS) {
  Deno.test(`${sound} is a quiet loop without a click, the same every time`, async () => {
    const bytes = await ambience(sound, rest);
    assert.equal(bytes.length, LOOP_MS * 8);
    assert.deepEqual(await ambience(sound, rest), bytes);
    const samples = decodeMulaw(bytes);
    const level = loudness(samples);
    assert.ok(level > 1_400 && level < 1_900, `${level}`);
    assert.ok(samples.every((it) => Math.abs(it) < 21_000), "none is cut off");
    const [seam = Infinity, ...others] = steps(samples);
    const usual = others.toSorted((a, b) => a - b).at(Math.floor(others.length * 0.999)) ?? 0;
    assert.ok(seam <= usual, `the seam steps by ${seam}, others by ${usual}`);
    const eighths = Array.from(
      { length: 8 },
      (_, nth) =>
        loudness(samples.subarray(nth * samples.length / 8, (nth + 1) * samples.length / 8)),
    );
    assert.ok(Math.min(...eighths) > level / 5, "it never falls silent");
  });
}

Deno.test("the sounds are not each other", async () => {
  const sounds = await Promise.all(AMBIENT_SOUNDS.map((sound) => ambience(sound, rest)));
  const all = sounds.map((bytes) => bytes.toHex());
  assert.equal(new Set(all).size, AMBIENT_SOUNDS.length);
});

Deno.test("a recorded sound is made a loop: its end is blended into its beginning", () => {
  const ramp = Int16Array.from({ length: 8_000 }, (_, at) => 2 * at - 8_000);
  const loop = looped(ramp);
  assert.equal(loop.length, 8_000 - 800);
  assert.ok(Math.max(...steps(loop)) < 100);
  assert.equal(looped(ramp.subarray(0, 100)).length, 100);
});
