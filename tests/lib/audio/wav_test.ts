/** WAV files, byte by byte. */

import assert from "node:assert/strict";
import { wav } from "@/lib/audio/wav.ts";

const ascii = (file: Uint8Array, from: number) =>
  new TextDecoder().decode(file.subarray(from, from + 4));

function head(file: Uint8Array<ArrayBuffer>) {
  const view = new DataView(file.buffer);
  return {
    riff: [ascii(file, 0), view.getUint32(4, true), ascii(file, 8)],
    fmt: [ascii(file, 12), view.getUint32(16, true)],
    tag: view.getUint16(20, true),
    channels: view.getUint16(22, true),
    rate: view.getUint32(24, true),
    bytesPerSecond: view.getUint32(28, true),
    blockBytes: view.getUint16(32, true),
    bits: view.getUint16(34, true),
  };
}

Deno.test("two channels stand side by side, the shorter filled with silence", () => {
  const file = wav([Uint8Array.of(0x80, 0x00, 0xfe), Uint8Array.of(0x8f)]);
  assert.deepEqual(head(file), {
    riff: ["RIFF", file.length - 8, "WAVE"],
    fmt: ["fmt ", 16],
    tag: 1,
    channels: 2,
    rate: 8000,
    bytesPerSecond: 32_000,
    blockBytes: 4,
    bits: 16,
  });
  assert.equal(ascii(file, 36), "data");
  const view = new DataView(file.buffer);
  assert.equal(view.getUint32(40, true), 12);
  const samples = Array.from({ length: 6 }, (_, i) => view.getInt16(44 + i * 2, true));
  assert.deepEqual(samples, [32_124, 16_764, -32_124, 0, 8, 0]);
  assert.equal(file.length, 44 + 12);
});

Deno.test("one channel is mono", () => {
  const file = wav([Uint8Array.of(0xff, 0x80)]);
  assert.deepEqual(head(file), {
    riff: ["RIFF", 40, "WAVE"],
    fmt: ["fmt ", 16],
    tag: 1,
    channels: 1,
    rate: 8000,
    bytesPerSecond: 16_000,
    blockBytes: 2,
    bits: 16,
  });
  const view = new DataView(file.buffer);
  assert.deepEqual([view.getInt16(44, true), view.getInt16(46, true)], [0, 32_124]);
});
