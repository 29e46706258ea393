/** Twilio's media protocol: what is read, what is written, and what is refused. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { AppError } from "@/lib/errors.ts";
import { type TwilioMedia, twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";

const STREAM = "MZ18ad3ab5a668481ce02b83e7395059f0";

// The examples of Twilio's documentation, with our own ids and values.
const CONNECTED = { event: "connected", protocol: "Call", version: "1.0.0" };
const START = {
  event: "start",
  sequenceNumber: "1",
  start: {
    accountSid: "AC0123",
    streamSid: STREAM,
    callSid: "CA0123",
    tracks: ["inbound"],
    mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
    customParameters: { token: "t1" },
  },
  streamSid: STREAM,
};
const MEDIA = {
  event: "media",
  sequenceNumber: "3",
  media: { track: "inbound", chunk: "1", timestamp: "20", payload: "/wB/" },
  streamSid: STREAM,
};
const DTMF = {
  event: "dtmf",
  streamSid: STREAM,
  sequenceNumber: "5",
  dtmf: { track: "inbound_track", digit: "#" },
};
const MARK = { event: "mark", sequenceNumber: "6", streamSid: STREAM, mark: { name: "1:160" } };
const STOP = {
  event: "stop",
  sequenceNumber: "7",
  stop: { accountSid: "AC0123", callSid: "CA0123" },
  streamSid: STREAM,
};

function setUp(): { protocol: TwilioMedia; read: (...messages: unknown[]) => unknown[] } {
  const protocol = twilioMedia();
  return {
    protocol,
    read: (...messages) => messages.map((message) => protocol.parse(JSON.stringify(message))),
  };
}

function refusal(act: () => unknown): { code: string; field: string | undefined } {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof AppError);
    return { code: error.code, field: error.field };
  }
  assert.fail("It was taken");
}

Deno.test("media protocol reads a whole stream", () => {
  const { read } = setUp();
  assert.deepEqual(read(CONNECTED, START, MEDIA, DTMF, MARK, STOP), [
    { type: "connected" },
    { type: "started", streamId: STREAM, carrierCallId: "CA0123", parameters: { token: "t1" } },
    { type: "audio", audio: new Uint8Array([0xff, 0x00, 0x7f]), atMs: 20 },
    { type: "dtmf", digit: "#" },
    { type: "mark", name: "1:160" },
    { type: "stopped" },
  ]);
});

Deno.test("media protocol writes what Twilio takes", () => {
  const { protocol, read } = setUp();
  read(CONNECTED, START);
  assert.deepEqual(JSON.parse(protocol.audio(new Uint8Array([0xff, 0x00, 0x7f]))), {
    event: "media",
    streamSid: STREAM,
    media: { payload: "/wB/" },
  });
  assert.deepEqual(JSON.parse(protocol.mark(`a"b`)), {
    event: "mark",
    streamSid: STREAM,
    mark: { name: `a"b` },
  });
  assert.deepEqual(JSON.parse(protocol.clear()), { event: "clear", streamSid: STREAM });
});

Deno.test("media protocol carries any audio unchanged both ways", () => {
  const { protocol, read } = setUp();
  read(CONNECTED, START);
  let sequence = 1;
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (audio) => {
    const { media } = JSON.parse(protocol.audio(audio));
    const message = {
      ...MEDIA,
      sequenceNumber: String(++sequence),
      media: { ...MEDIA.media, payload: media.payload },
    };
    assert.deepEqual(read(message), [{ type: "audio", audio, atMs: 20 }]);
  }));
});

Deno.test("media protocol refuses what is malformed, and names the field", () => {
  const rows: [unknown, string][] = [
    [null, ""],
    [[], ""],
    ["connected", ""],
    [{ ...MEDIA, event: "surprise" }, "event"],
    [{ ...MEDIA, event: undefined }, "event"],
    [{ ...MEDIA, sequenceNumber: 3 }, "sequenceNumber"],
    [{ ...MEDIA, sequenceNumber: "-3" }, "sequenceNumber"],
    [{ ...MEDIA, sequenceNumber: "3.5" }, "sequenceNumber"],
    [{ ...MEDIA, sequenceNumber: "9".repeat(16) }, "sequenceNumber"],
    [{ ...MEDIA, streamSid: `x"}` }, "streamSid"],
    [{ ...MEDIA, media: { ...MEDIA.media, track: "outbound" } }, "media.track"],
    [{ ...MEDIA, media: { ...MEDIA.media, timestamp: 20 } }, "media.timestamp"],
    [{ ...MEDIA, media: { ...MEDIA.media, payload: 1 } }, "media.payload"],
    [{ ...MEDIA, media: { ...MEDIA.media, payload: "?" } }, "media.payload"],
    [{ ...DTMF, dtmf: { digit: "12" } }, "dtmf.digit"],
    [{ ...MARK, mark: {} }, "mark.name"],
  ];
  for (const [message, field] of rows) {
    const { read } = setUp();
    read(CONNECTED, START);
    const text = JSON.stringify(message);
    assert.deepEqual(refusal(() => read(message)), { code: "invalid", field }, text);
  }
});

Deno.test("media protocol refuses a stream in another format than ours", () => {
  const format = START.start.mediaFormat;
  const rows: [unknown, string][] = [
    [{ ...format, encoding: "audio/l16" }, "encoding"],
    [{ ...format, sampleRate: 16000 }, "sampleRate"],
    [{ ...format, channels: 2 }, "channels"],
  ];
  for (const [mediaFormat, name] of rows) {
    const { read } = setUp();
    read(CONNECTED);
    const message = { ...START, start: { ...START.start, mediaFormat } };
    const field = `start.mediaFormat.${name}`;
    assert.deepEqual(refusal(() => read(message)), { code: "invalid", field });
  }
});

Deno.test("media protocol refuses too many parameters", () => {
  const { read } = setUp();
  read(CONNECTED);
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`p${index}`, ""]));
  const message = { ...START, start: { ...START.start, customParameters: many } };
  assert.equal(refusal(() => read(message)).field, "start.customParameters");
});

Deno.test("media protocol refuses what is out of order, twice, or another stream's", () => {
  const rows: [unknown[], unknown, string][] = [
    [[], START, "event"],
    [[], MEDIA, "event"],
    [[CONNECTED], CONNECTED, "event"],
    [[CONNECTED], MEDIA, "event"],
    [[CONNECTED, START], START, "event"],
    [[CONNECTED, START], CONNECTED, "event"],
    [[CONNECTED, START, STOP], { ...MEDIA, sequenceNumber: "8" }, "event"],
    [[CONNECTED, START, STOP], STOP, "event"],
    [[CONNECTED, START, MEDIA], MEDIA, "sequenceNumber"],
    [[CONNECTED, START, MARK], MEDIA, "sequenceNumber"],
    [[CONNECTED, START], { ...MEDIA, streamSid: "MZother" }, "streamSid"],
  ];
  for (const [before, message, field] of rows) {
    const { read } = setUp();
    read(...before);
    assert.deepEqual(refusal(() => read(message)), { code: "invalid", field });
  }
});

Deno.test("media protocol goes on after a refusal as if it had not been sent", () => {
  const { protocol, read } = setUp();
  read(CONNECTED, START);
  assert.equal(refusal(() => protocol.parse("{")).code, "invalid");
  refusal(() => read({ ...MEDIA, media: { ...MEDIA.media, payload: "?" } }));
  assert.equal(read(MEDIA).length, 1);
});

Deno.test("media protocol never throws anything but a refusal", () => {
  fc.assert(fc.property(fc.json(), (text) => {
    const protocol = twilioMedia();
    protocol.parse(JSON.stringify(CONNECTED));
    protocol.parse(JSON.stringify(START));
    assert.equal(refusal(() => protocol.parse(text)).code, "invalid");
  }));
});

Deno.test("media protocol cannot write before the stream has started", () => {
  const { protocol, read } = setUp();
  read(CONNECTED);
  assert.throws(() => protocol.clear(), /Cannot send on a stream that is connected/);
});

Deno.test("media protocol can still write when the stream has stopped: what crosses a stop is no bug", () => {
  const { protocol, read } = setUp();
  for (const message of [CONNECTED, START, STOP]) read(message);
  assert.equal(JSON.parse(protocol.clear()).event, "clear");
});

Deno.test("a frame is read as JSON would be, whatever stands in it: a quote, an escape, another order", () => {
  const frame = JSON.stringify(MEDIA);
  const outcome = (text: string): unknown => {
    const { protocol, read } = setUp();
    read(CONNECTED, START);
    try {
      return protocol.parse(text);
    } catch (error) {
      assert.ok(error instanceof AppError);
      return { code: error.code, field: error.field };
    }
  };
  assert.deepEqual(outcome(frame), {
    type: "audio",
    audio: new Uint8Array([255, 0, 127]),
    atMs: 20,
  });
  const piece = fc.constantFrom(
    '"',
    "\\",
    "\\/",
    "\\u0041",
    "{",
    "}",
    ",",
    "A",
    "=",
    " ",
    "0",
    "\u0000",
    '","payload":"AA==',
  );
  fc.assert(
    fc.property(fc.nat(frame.length), fc.nat(3), piece, (at, cut, put) => {
      const text = frame.slice(0, at) + put + frame.slice(at + cut);
      assert.deepEqual(outcome(text), outcome(` ${text}`)); // the space sends it the long way
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("frames of any length keep their own bytes, also behind many others", () => {
  const { read } = setUp();
  read(CONNECTED, START);
  const frames = Array.from(
    { length: 300 },
    (_, nth) => new Uint8Array((nth * 37) % 500).fill(nth % 256),
  );
  const media = (payload: string, nth: number): unknown => ({
    ...MEDIA,
    sequenceNumber: `${nth + 2}`,
    media: { ...MEDIA.media, payload },
  });
  const heard = read(...frames.map((frame, nth) => media(frame.toBase64(), nth)));
  assert.deepEqual(heard, frames.map((audio) => ({ type: "audio", audio, atMs: 20 })));
  assert.deepEqual(read(media("AQID\nBAUG", 400)), [
    { type: "audio", audio: new Uint8Array([1, 2, 3, 4, 5, 6]), atMs: 20 },
  ]);
});
