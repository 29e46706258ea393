/** A recording as a file: any part of it is the same bytes as of the whole. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { MULAW_SAMPLES } from "@/lib/audio/mulaw.ts";
import { rangeOf, type WavFile, wavFile } from "@/lib/recording/download.ts";
import { RECORDING_FORMATS, SEGMENT_BYTES } from "@/lib/recording/segments.ts";

const STORED_BYTES = SEGMENT_BYTES * 2 + 1_234;
const STORED = Uint8Array.from({ length: STORED_BYTES }, (_, i) => (i * 31 + (i >> 8)) & 0xff);

const segment = (index: number) =>
  Promise.resolve(STORED.slice(index * SEGMENT_BYTES, (index + 1) * SEGMENT_BYTES));

async function part(
  file: WavFile,
  from: number,
  to: number,
  read: typeof segment | (() => Promise<null>) = segment,
): Promise<Uint8Array> {
  const pieces = await Array.fromAsync(file.read({ from, to }, read));
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

for (const format of RECORDING_FORMATS) {
  Deno.test(`${format}: the head says what follows, and how long it is`, async () => {
    const file = wavFile(format, STORED_BYTES);
    const whole = await part(file, 0, file.totalBytes - 1);
    assert.equal(whole.length, file.totalBytes);
    const view = new DataView(whole.buffer);
    const text = (at: number) => new TextDecoder().decode(whole.slice(at, at + 4));
    const [code, bits] = format === "pcm" ? [1, 16] : [7, 8];
    assert.deepEqual([text(0), view.getUint32(4, true), text(8)], [
      "RIFF",
      file.totalBytes - 8,
      "WAVE",
    ]);
    assert.deepEqual([20, 22, 34].map((at) => view.getUint16(at, true)), [code, 2, bits]);
    assert.equal(view.getUint32(24, true), 8_000);
    assert.equal(view.getUint32(28, true), 8_000 * 2 * (bits ?? 0) / 8);
    const dataAt = file.head.length - 8;
    assert.deepEqual([text(dataAt), view.getUint32(dataAt + 4, true)], [
      "data",
      file.totalBytes - file.head.length,
    ]);
    const sample = (i: number) =>
      format === "pcm"
        ? view.getInt16(file.head.length + 2 * i, true)
        : MULAW_SAMPLES[whole[file.head.length + i] ?? 0];
    for (const i of [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, STORED_BYTES - 1]) {
      assert.equal(sample(i), MULAW_SAMPLES[STORED[i] ?? 0], `sample ${i}`);
    }
  });

  Deno.test(`${format}: any two parts side by side are the whole`, async () => {
    const file = wavFile(format, STORED_BYTES);
    const whole = await part(file, 0, file.totalBytes - 1);
    const last = file.totalBytes - 1;
    await fc.assert(
      fc.asyncProperty(fc.nat(last), fc.nat(last), async (a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        assert.deepEqual(await part(file, from, to), whole.slice(from, to + 1));
      }),
      { numRuns: 40, seed: 4 },
    );
  });
}

Deno.test("a segment that is lost is silent, and nothing else moves", async () => {
  const file = wavFile("pcm", STORED_BYTES);
  const silent = await part(file, 0, file.totalBytes - 1, () => Promise.resolve(null));
  assert.equal(silent.length, file.totalBytes);
  assert(silent.slice(file.head.length).every((byte) => byte === 0));
});

const RANGES: readonly [string, ReturnType<typeof rangeOf>][] = [
  ["bytes=0-99", { from: 0, to: 99 }],
  ["bytes=900-", { from: 900, to: 999 }],
  ["bytes=-100", { from: 900, to: 999 }],
  ["bytes=-5000", { from: 0, to: 999 }],
  ["bytes=900-5000", { from: 900, to: 999 }],
  ["Bytes=1-1", { from: 1, to: 1 }],
  ["bytes=1000-", "unsatisfiable"],
  ["bytes=-0", "unsatisfiable"],
  ["bytes=5-2", null],
  ["bytes=-", null],
  ["bytes=0-1,5-6", null],
  ["items=0-1", null],
  ["bytes=a-b", null],
];

for (const [header, wanted] of RANGES) {
  Deno.test(`of a thousand bytes "${header}" is ${JSON.stringify(wanted)}`, () => {
    assert.deepEqual(rangeOf(header, 1_000), wanted);
  });
}
