/** WAV files that people upload, as telephone audio; and what is said of those that cannot be read. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import { newWidener } from "@/lib/audio/resample.ts";
import { wav, wavHead } from "@/lib/audio/wav.ts";
import { readWav } from "@/lib/audio/wav_read.ts";

interface FileOptions {
  readonly code?: number;
  readonly channels?: number;
  readonly rate?: number;
  readonly bits?: number;
  readonly data: Uint8Array;
  /** A chunk before the sound. */
  readonly extra?: Uint8Array;
}

function fileOf(options: FileOptions): Uint8Array {
  const { code = 1, channels = 1, rate = 8_000, bits = 16, data, extra } = options;
  const chunk = (id: string, body: Uint8Array): Uint8Array => {
    const head = new DataView(new ArrayBuffer(8));
    [...id].forEach((letter, i) => head.setUint8(i, letter.charCodeAt(0)));
    head.setUint32(4, body.length, true);
    const pad = new Uint8Array(body.length % 2);
    return Uint8Array.from([...new Uint8Array(head.buffer), ...body, ...pad]);
  };
  const format = new DataView(new ArrayBuffer(16));
  format.setUint16(0, code, true);
  format.setUint16(2, channels, true);
  format.setUint32(4, rate, true);
  format.setUint16(14, bits, true);
  const body = Uint8Array.from([
    ...new TextEncoder().encode("WAVE"),
    ...chunk("fmt ", new Uint8Array(format.buffer)),
    ...(extra === undefined ? [] : chunk("LIST", extra)),
    ...chunk("data", data),
  ]);
  return chunk("RIFF", body);
}

function heard(audio: Uint8Array | null): string {
  return heardWords(audio ?? new Uint8Array()).map(({ text }) => text).join(" ");
}

const SPOKEN = speak("Open from nine to five.").audio;

Deno.test("what we write ourselves is read as it was, as PCM and as µ-law", () => {
  const { audio } = readWav(wav([SPOKEN]));
  assert.deepEqual(decodeMulaw(audio ?? new Uint8Array()), decodeMulaw(SPOKEN)); // zero has two bytes
  const head = wavHead({ format: "mulaw", channels: 1, dataBytes: SPOKEN.length });
  assert.deepEqual(readWav(Uint8Array.from([...head, ...SPOKEN])).audio, SPOKEN);
});

Deno.test("sound at twice the telephone's rate is understood, behind a chunk of odd length", () => {
  const data = newWidener().widen(SPOKEN);
  const { audio } = readWav(fileOf({ rate: 16_000, data, extra: new Uint8Array(3) }));
  assert.equal(heard(audio), "Open from nine to five.");
});

Deno.test("two channels are mixed", () => {
  const pcm = new DataView(new ArrayBuffer(4));
  pcm.setInt16(0, 1_000, true);
  pcm.setInt16(2, 3_000, true);
  const { audio } = readWav(fileOf({ channels: 2, data: new Uint8Array(pcm.buffer) }));
  assert.deepEqual(audio, encodeMulaw(Int16Array.of(2_000)));
});

for (
  const [name, file, fault] of [
    ["no WAV file", new TextEncoder().encode("ID3 an mp3, as it were"), /Must be a WAV file/],
    ["nothing", new Uint8Array(), /Must be a WAV file/],
    ["24 bits", fileOf({ bits: 24, data: SPOKEN }), /16-bit PCM/],
    ["A-law", fileOf({ code: 6, bits: 8, data: SPOKEN }), /16-bit PCM or 8-bit µ-law/],
    ["44.1 kHz", fileOf({ rate: 44_100, data: SPOKEN }), /8, 16, 24, 32, 48/],
    ["six channels", fileOf({ channels: 6, data: SPOKEN }), /one channel or two/],
    ["a head alone", fileOf({ data: SPOKEN }).subarray(0, 36), /Must hold sound/],
  ] as const
) {
  Deno.test(`${name} is refused, with the reason`, () => {
    assert.match(readWav(file).fault ?? "", fault);
  });
}

Deno.test("whatever bytes come, they are read or refused", () => {
  const whole = fileOf({ data: SPOKEN.subarray(0, 64) });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }),
      fc.nat(whole.length),
      (changes, end) => {
        const bytes = whole.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        const { audio, fault } = readWav(bytes.subarray(0, end));
        assert.ok((audio === null) !== (fault === null));
      },
    ),
    { seed: 5, numRuns: 500 },
  );
});
