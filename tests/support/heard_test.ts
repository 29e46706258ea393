/** What a simulated caller hears: words whose last sample was played, with a hole in them or without. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { FRAME_BYTES } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { playedWords } from "./heard.ts";
import { manualClock } from "./manual_clock.ts";
import { newPlayer } from "./twilio_player.ts";

function setUp() {
  const clock = manualClock();
  const player = newPlayer({ clock, mark() {} });
  return { clock, player };
}

function framesOf(text: string): Uint8Array[] {
  const { audio } = speak(text);
  const count = Math.ceil(audio.length / FRAME_BYTES);
  return Array.from(
    { length: count },
    (_, n) => audio.slice(n * FRAME_BYTES, (n + 1) * FRAME_BYTES),
  );
}

const heard = (player: ReturnType<typeof setUp>["player"]): string =>
  playedWords({ player }).map(({ text }) => text).join(" ");

Deno.test("a word is heard whatever holes there are in it, and they are told", async () => {
  const text = "I can help with that. What is your name, please?";
  const { words } = speak(text);
  const frames = framesOf(text);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(frames.length - 1), { maxLength: 4 }),
      fc.integer({ min: 1, max: 900 }),
      async (late, lateMs) => {
        const { clock, player } = setUp();
        const holes = new Set(late);
        for (const [n, frame] of frames.entries()) {
          if (holes.has(n)) await clock.advance(lateMs);
          player.audio(frame);
          await clock.advance(20);
        }
        const played = playedWords({ player });
        assert.equal(played.map((word) => word.text).join(" "), text);
        played.forEach(({ endedAtMs, holeMs }, i) => {
          const word = words[i];
          assert.ok(word);
          const isBefore = (ms: number) => [...holes].filter((n) => n * 20 < ms).length * lateMs;
          assert.equal(holeMs, isBefore(word.endMs) - isBefore(word.startMs + 1 / 8));
          assert.equal(endedAtMs, word.endMs + isBefore(word.endMs));
        });
      },
    ),
    { numRuns: 30, seed: 5 },
  );
});

Deno.test("a word that was cut is not heard, and what is said next is", async () => {
  const frames = framesOf("Dental, Nora");
  for (let cutAtMs = 5; cutAtMs < 400; cutAtMs += 5) {
    const { clock, player } = setUp();
    for (const frame of frames) player.audio(frame);
    await clock.advance(cutAtMs);
    player.clear();
    for (const frame of framesOf("Dental, Nora")) player.audio(frame);
    await clock.advance(5_000);
    assert.equal(heard(player), "Dental, Nora", `cut after ${cutAtMs} ms`);
  }
});
