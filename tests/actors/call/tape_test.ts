/** A tape: both sides in one time, whatever the line does. */

import assert from "node:assert/strict";
import { PIECE_MS, Tape, type TapePiece } from "@/actors/call/tape.ts";
import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";
import { SAMPLE_BYTES } from "@/lib/recording/segments.ts";

/** A tape of a recording that began at 1,000 on the clock, and a line on which nothing takes time. */
function setUp(options: { readonly isPaused?: boolean } = {}) {
  const pieces: TapePiece[] = [];
  const tape = new Tape({
    originMs: 1_000,
    now: 1_000,
    isPaused: options.isPaused ?? false,
    give: (piece) => void pieces.push(piece),
  });
  return {
    tape,
    pieces,
    frame: (byte: number) => new Uint8Array(FRAME_BYTES).fill(byte),
    /** Frames of the caller that arrive from `from` to `to`; silent ones where none is given. */
    listen(from: number, to: number, byte = SILENCE, earliestMs = FRAME_MS): void {
      for (let now = from + FRAME_MS; now <= to; now += FRAME_MS) {
        const audio = new Uint8Array(FRAME_BYTES).fill(byte);
        tape.caller(audio, { now, atMs: now - FRAME_MS, earliestMs });
      }
    },
    /** Where one side has this byte: milliseconds since the beginning, first and last. */
    span(side: 0 | 1, byte: number): [number, number] | null {
      const times: number[] = [];
      for (const { at, audio } of pieces) {
        for (let i = 0; i < audio.length / SAMPLE_BYTES; i++) {
          if (audio[i * SAMPLE_BYTES + side] === byte) times.push((at + i) / BYTES_PER_MS);
        }
      }
      if (times.length === 0) return null;
      return [times[0] ?? 0, (times.at(-1) ?? 0) + 1 / BYTES_PER_MS];
    },
  };
}

Deno.test("the caller is where their frames arrived", () => {
  const it = setUp();
  it.listen(1_000, 2_000);
  it.listen(2_000, 2_500, 7);
  it.listen(2_500, 5_000);
  it.tape.end(5_000);
  assert.deepEqual(it.span(0, 7), [1_000, 1_500]);
  assert.equal(it.span(1, 7), null);
});

Deno.test("frames that come in bunches are where they were said", () => {
  const it = setUp();
  it.listen(1_000, 2_000);
  for (let i = 0; i < 10; i++) { // all at once, 200 ms after the first of them was due
    it.tape.caller(it.frame(7), { now: 2_220, atMs: 2_000 + i * FRAME_MS, earliestMs: FRAME_MS });
  }
  it.listen(2_220, 5_000);
  it.tape.end(5_000);
  assert.deepEqual(it.span(0, 7), [1_000, 1_200]);
});

Deno.test("a page whose microphone was off for a while is heard when it is on again", () => {
  const it = setUp();
  it.listen(1_000, 2_000);
  // It counts its frames, and sent none for ten seconds.
  it.tape.caller(it.frame(7), { now: 12_000, atMs: 2_000, earliestMs: FRAME_MS });
  it.tape.end(13_000);
  assert.deepEqual(it.span(0, 7), [11_000 - FRAME_MS, 11_000]);
});

Deno.test("an utterance is from its first mark on, and has no gap for what is sent ahead", () => {
  const it = setUp();
  it.listen(1_000, 2_000);
  it.tape.agent(it.frame(9), 2_000);
  it.tape.start("1:start");
  for (let i = 0; i < 14; i++) it.tape.agent(it.frame(9), 2_000);
  it.tape.marked("1:start", 2_120); // a hundred milliseconds there and back
  it.listen(2_000, 6_000);
  it.tape.end(6_000);
  assert.deepEqual(it.span(1, 9), [1_100, 1_100 + 15 * FRAME_MS]);
});

Deno.test("a carrier that returns no marks is taken to play what it is sent", () => {
  const it = setUp();
  for (let i = 0; i < 15; i++) it.tape.agent(it.frame(9), 2_000);
  it.listen(1_000, 6_000);
  it.tape.end(6_000);
  assert.deepEqual(it.span(1, 9), [1_000, 1_000 + 15 * FRAME_MS]);
});

Deno.test("what is sent too late leaves a hole", () => {
  const it = setUp();
  it.tape.agent(it.frame(9), 2_000);
  it.tape.start("1:start");
  it.tape.marked("1:start", 2_000 + FRAME_MS);
  it.tape.agent(it.frame(8), 2_500);
  it.listen(1_000, 6_000);
  it.tape.end(6_000);
  assert.deepEqual([it.span(1, 9), it.span(1, 8)], [[1_000, 1_020], [1_500, 1_520]]);
});

Deno.test("a clear ends an utterance when its mark comes back, and what is behind it is not cut", () => {
  const it = setUp();
  it.tape.agent(it.frame(9), 2_000);
  it.tape.start("1:start");
  for (let i = 0; i < 14; i++) it.tape.agent(it.frame(9), 2_000);
  it.tape.marked("1:start", 2_060); // 40 ms there and back
  it.tape.cut("1:cut", 2_100);
  it.tape.agent(it.frame(8), 2_110);
  it.tape.start("2:start");
  it.tape.marked("1:cut", 2_140);
  it.tape.marked("2:start", 2_170);
  it.listen(1_000, 6_000);
  it.tape.end(6_000);
  assert.deepEqual([it.span(1, 9), it.span(1, 8)], [[1_040, 1_140], [1_150, 1_170]]);
});

Deno.test("a clear whose mark never comes back has been acted on all the same", () => {
  const it = setUp();
  for (let i = 0; i < 15; i++) it.tape.agent(it.frame(9), 2_000);
  it.tape.cut("1:cut", 2_100);
  it.listen(1_000, 6_000);
  it.tape.end(6_000);
  assert.deepEqual(it.span(1, 9), [1_000, 1_100]);
});

Deno.test("what has not played when the line is lost was not heard", () => {
  const it = setUp();
  for (let i = 0; i < 15; i++) it.tape.agent(it.frame(9), 2_000);
  it.tape.end(2_100);
  assert.deepEqual(it.span(1, 9), [1_000, 1_100]);
});

Deno.test("a pause is silent on both sides from its first instant to its last", () => {
  const it = setUp();
  for (let now = 1_000; now < 6_000; now += FRAME_MS) {
    it.tape.agent(it.frame(9), now);
    if (now === 3_000) it.tape.pause(now);
    if (now === 4_000) it.tape.resume(now);
    it.listen(now, now + FRAME_MS, 7);
  }
  it.tape.end(6_000);
  for (const side of [0, 1] as const) {
    const audible = it.pieces.flatMap(({ at, audio }) =>
      Array.from({ length: audio.length / 2 }, (_, i) => [at + i, audio[2 * i + side]] as const)
    ).filter(([, byte]) => byte !== SILENCE).map(([at]) => at / BYTES_PER_MS);
    assert.equal(audible.some((ms) => ms >= 2_000 && ms < 3_000), false);
    assert.equal(audible.filter((ms) => ms < 2_000).length, 2_000 * BYTES_PER_MS);
    assert(audible.some((ms) => ms >= 3_000 && ms < 3_001));
  }
});

Deno.test("a tape that is paused from its beginning is silent until it is resumed", () => {
  const it = setUp({ isPaused: true });
  it.listen(1_000, 3_000, 7);
  it.tape.resume(3_000);
  it.listen(3_000, 4_000, 7);
  it.tape.end(4_000);
  assert.deepEqual(it.span(0, 7), [2_000, 3_000]);
});

Deno.test("of a long silence nothing is given out, and pieces are never large", () => {
  const it = setUp();
  it.listen(1_000, 3_000, 7);
  it.tape.agent(it.frame(9), 600_000);
  it.tape.end(601_000);
  assert(it.pieces.length < 10, `${it.pieces.length}`);
  assert(it.pieces.every(({ audio }) => audio.length <= PIECE_MS * BYTES_PER_MS * SAMPLE_BYTES));
  assert.deepEqual(it.span(1, 9), [599_000, 599_020]);
});
