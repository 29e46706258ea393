/** G.711 µ-law (ITU-T G.711, table 2): 16-bit samples to bytes and back, both by table. */

const BIAS = 0x84; // 33 of the recommendation's 14 bits, in 16: it makes segments powers of two
const CLIP = 0x7fff - BIAS; // the largest magnitude that stays in the last segment

/** The 16-bit sample of each µ-law byte: 0xFF and 0x7F are 0, 0x80 is 32124, 0x00 is -32124. */
export const MULAW_SAMPLES: Int16Array = Int16Array.from(
  { length: 256 },
  (_, byte) => expand(byte),
);

/** The µ-law byte of each 16-bit sample, indexed by its unsigned bits. */
const MULAW_BYTES = Uint8Array.from({ length: 65_536 }, (_, bits) => compress((bits << 16) >> 16));

export function encodeMulaw(samples: Int16Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    bytes[i] = MULAW_BYTES[(samples[i] ?? 0) & 0xffff] ?? 0;
  }
  return bytes;
}

export function decodeMulaw(bytes: Uint8Array): Int16Array<ArrayBuffer> {
  const samples = new Int16Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) samples[i] = MULAW_SAMPLES[bytes[i] ?? 0] ?? 0;
  return samples;
}

/** Sign, three bits of segment, four bits within it; all inverted on the wire. */
function compress(sample: number): number {
  const magnitude = Math.min(Math.abs(sample), CLIP) + BIAS;
  const segment = 24 - Math.clz32(magnitude);
  const step = (magnitude >> (segment + 3)) & 0x0f;
  return ~((sample < 0 ? 0x80 : 0) | (segment << 4) | step) & 0xff;
}

/** The middle of the byte's interval, as the recommendation's decoder output values. */
function expand(byte: number): number {
  const bits = ~byte & 0xff;
  const segment = (bits >> 4) & 0x07;
  const magnitude = ((((bits & 0x0f) << 3) + BIAS) << segment) - BIAS;
  return bits & 0x80 ? -magnitude : magnitude;
}
