/** G.711: the tables of the recommendation, and what its bytes lose. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";

// ITU-T G.711, tables 2a and 2b: 14-bit values, here the first of each segment and its neighbours.
// `from` is the decision value at which the byte's interval starts, `out` what it decodes to.
const REFERENCE = [
  { byte: 0xff, from: 0, out: 0 },
  { byte: 0xfe, from: 1, out: 2 },
  { byte: 0xfd, from: 3, out: 4 },
  { byte: 0xf0, from: 29, out: 30 },
  { byte: 0xef, from: 31, out: 33 },
  { byte: 0xdf, from: 95, out: 99 },
  { byte: 0xcf, from: 223, out: 231 },
  { byte: 0xbf, from: 479, out: 495 },
  { byte: 0xaf, from: 991, out: 1023 },
  { byte: 0x9f, from: 2015, out: 2079 },
  { byte: 0x8f, from: 4063, out: 4191 },
  { byte: 0x81, from: 7647, out: 7775 },
  { byte: 0x80, from: 7903, out: 8031 },
] as const;

const toByte = (sample: number) => encodeMulaw(Int16Array.of(sample))[0];
const toSample = (byte: number) => decodeMulaw(Uint8Array.of(byte))[0];

Deno.test("µ-law decodes to the output values of G.711", () => {
  for (const { byte, out } of REFERENCE) {
    assert.equal(toSample(byte), out * 4, `byte ${byte}`);
    assert.equal(toSample(byte & 0x7f), out * -4 + 0, `byte ${byte & 0x7f}`);
  }
});

Deno.test("µ-law changes its byte at the decision values of G.711", () => {
  for (const { byte, from } of REFERENCE) {
    assert.equal(toByte(from * 4), byte, `at ${from}`);
    if (from > 0) assert.equal(toByte(from * 4 - 1), byte + 1, `below ${from}`);
    if (from > 0) assert.equal(toByte(from * -4), byte & 0x7f, `at -${from}`);
  }
});

Deno.test("µ-law clips what is over its range, at both ends", () => {
  assert.equal(toByte(32_767), 0x80);
  assert.equal(toByte(-32_768), 0x00);
});

Deno.test("every µ-law byte survives decoding and encoding, but negative zero becomes positive", () => {
  const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const expected = every.map((byte) => byte === 0x7f ? 0xff : byte);
  assert.deepEqual(encodeMulaw(decodeMulaw(every)), expected);
});

Deno.test("µ-law is never further off than half a step, a thirtieth of the sample", () => {
  fc.assert(
    fc.property(fc.integer({ min: -32_635, max: 32_635 }), (sample) => {
      const back = decodeMulaw(encodeMulaw(Int16Array.of(sample)))[0] ?? 0;
      assert.ok(Math.abs(back - sample) <= Math.abs(sample) / 30 + 4);
    }),
    { seed: 1, numRuns: 2_000 },
  );
});
