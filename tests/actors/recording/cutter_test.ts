/** Segments are whole, in order, silent where nothing came, and few. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { Cutter, type Segment, WAITING_MAX } from "@/actors/recording/cutter.ts";
import { SILENCE } from "@/lib/audio/frame.ts";
import { SAMPLE_BYTES, SEGMENT_BYTES } from "@/lib/recording/segments.ts";

/** Samples of sound from `at` on. */
function piece(at: number, samples: number, byte = 1) {
  return { at, audio: new Uint8Array(samples * SAMPLE_BYTES).fill(byte) };
}

function all(cutter: Cutter): Segment[] {
  const segments: Segment[] = [];
  for (let next = cutter.next(); next !== null; next = cutter.next()) segments.push(next);
  return segments;
}

const SAMPLES = SEGMENT_BYTES / SAMPLE_BYTES;

Deno.test("pieces side by side make whole segments, and a last one that is shorter", () => {
  const cutter = new Cutter();
  const segments: Segment[] = [];
  for (let at = 0; at < 2.5 * SAMPLES; at += 8_000) {
    assert.equal(cutter.add(piece(at, 8_000)), true);
    segments.push(...all(cutter));
  }
  cutter.finish();
  segments.push(...all(cutter));
  assert.deepEqual(segments.map(({ index }) => index), [0, 1, 2]);
  assert.deepEqual(segments.map(({ audio }) => audio.length), [
    SEGMENT_BYTES,
    SEGMENT_BYTES,
    SEGMENT_BYTES * 0.6,
  ]);
  assert(segments.every(({ audio }) => audio.every((byte) => byte === 1)));
});

Deno.test("where nothing came there is silence, and an hour of it waits for nobody", () => {
  const cutter = new Cutter();
  cutter.add(piece(10, 10));
  assert.equal(cutter.add(piece(720 * SAMPLES, 10)), true, "silence takes no room");
  cutter.finish();
  const segments = all(cutter);
  assert.equal(segments.length, 721);
  assert.equal(new Set(segments.slice(1, -1).map(({ audio }) => audio)).size, 1, "one for all");
  assert(segments[1]?.audio.every((byte) => byte === SILENCE));
  assert.equal(segments[720]?.audio.length, 20);
});

Deno.test("what has been told of already is not told of again", () => {
  const cutter = new Cutter();
  cutter.add(piece(0, 100, 1));
  cutter.add(piece(50, 100, 2));
  cutter.add(piece(20, 30, 3));
  cutter.finish();
  const [only] = all(cutter);
  assert.equal(only?.audio.length, 300);
  assert.deepEqual([only?.audio[199], only?.audio[200], only?.audio[299]], [1, 2, 2]);
});

Deno.test("more sound than may wait is refused", () => {
  const cutter = new Cutter();
  let accepted = 0;
  while (cutter.add(piece(accepted * SAMPLES, SAMPLES))) accepted++;
  assert.equal(accepted, WAITING_MAX);
});

Deno.test("whatever comes, what is put side by side is what came, in its place", () => {
  const pieces = fc.array(
    fc.tuple(fc.nat(3_000), fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: 0, max: 9 })),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(pieces, (list) => {
      const cutter = new Cutter();
      const wanted: number[] = [];
      const got: number[] = [];
      let end = 0;
      for (const [gap, samples, byte] of list) {
        const at = end + gap;
        cutter.add(piece(at, samples, byte));
        while (wanted.length < at * SAMPLE_BYTES) wanted.push(SILENCE);
        for (let i = 0; i < samples * SAMPLE_BYTES; i++) wanted.push(byte);
        end = at + samples;
        for (const { audio } of all(cutter)) for (const it of audio) got.push(it);
      }
      cutter.finish();
      for (const { audio } of all(cutter)) for (const it of audio) got.push(it);
      assert.deepEqual(new Uint8Array(got), new Uint8Array(wanted));
    }),
    { numRuns: 30, seed: 5 },
  );
});
