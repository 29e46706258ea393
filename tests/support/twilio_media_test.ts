/** The simulated media stream speaks Twilio's protocol, on time, with the faults that are asked for. */

import assert from "node:assert/strict";
import { FRAME_BYTES, SILENCE } from "@/lib/audio/frame.ts";
import type { MediaEvent, MediaProtocol } from "@/lib/providers/carrier/carrier.ts";
import { twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import { prng } from "./actor_kit.ts";
import { type ManualClock, manualClock } from "./manual_clock.ts";
import { socketPair } from "./socket_pair.ts";
import { type MediaStream, type MediaStreamOptions, newMediaStream } from "./twilio_media.ts";

interface Setup {
  readonly clock: ManualClock;
  readonly stream: MediaStream;
  /** Our side of the socket, and its protocol: what the product does. */
  readonly server: MessageSocket;
  readonly protocol: MediaProtocol;
  readonly heard: (MediaEvent & { readonly at: number })[];
  readonly ends: [number, number][];
}

function setUp(options: Partial<MediaStreamOptions> = {}, clock = manualClock()): Setup {
  const [client, server] = socketPair({ clock });
  const protocol = twilioMedia();
  const heard: Setup["heard"] = [];
  const ends: Setup["ends"] = [];
  server.listen({
    message: (text) => heard.push({ ...protocol.parse(String(text)), at: clock.now() }),
    closed: (code) => ends.push([clock.now(), code]),
  });
  const stream = newMediaStream({
    socket: client,
    clock,
    accountSid: "AC1",
    callSid: "CA1",
    streamSid: "MZ1",
    parameters: { token: "t" },
    ...options,
  });
  return { clock, stream, server, protocol, heard, ends };
}

const tone = (frames: number, value = 1): Uint8Array =>
  new Uint8Array(frames * FRAME_BYTES).fill(value);
const audioOf = (heard: Setup["heard"]): [number, number | undefined][] =>
  heard.flatMap((event) => event.type === "audio" ? [[event.at, event.audio[0]]] : []);

Deno.test("stream begins with connected and start, then a frame every 20 ms", async () => {
  const { clock, heard } = setUp();
  await clock.advance(60);
  assert.deepEqual(heard.map(({ type, at }) => [type, at]), [
    ["connected", 0],
    ["started", 0],
    ["audio", 20],
    ["audio", 40],
    ["audio", 60],
  ]);
  assert.deepEqual(heard[1], {
    type: "started",
    streamId: "MZ1",
    carrierCallId: "CA1",
    parameters: { token: "t" },
    at: 0,
  });
  assert.deepEqual(heard[2], { type: "audio", audio: tone(1, SILENCE), atMs: 0, at: 20 });
});

Deno.test("stream says what the caller says, padded to frames, and tells when it has left", async () => {
  const { clock, stream, heard } = setUp();
  await clock.advance(25);
  const said = stream.say(new Uint8Array(FRAME_BYTES + 8).fill(1));
  const more = stream.say(tone(1, 2));
  await clock.advance(100);
  assert.deepEqual(audioOf(heard).slice(1), [
    [40, 1],
    [60, 1],
    [80, 2],
    [100, SILENCE],
    [120, SILENCE],
  ]);
  assert.equal(await said, 60);
  assert.equal(await more, 80);
  const last = heard[4];
  assert.ok(last?.type === "audio");
  assert.deepEqual(last.audio.subarray(0, 10), new Uint8Array([...Array(8).fill(1), 255, 255]));
});

Deno.test("stream plays what the server sends, and a clear takes effect in the same instant", async () => {
  const { clock, stream, server, protocol, heard } = setUp();
  server.send(protocol.audio(tone(2)));
  server.send(protocol.mark("a"));
  server.send(protocol.audio(tone(2)));
  server.send(protocol.mark("b"));
  await clock.advance(50);
  server.send(protocol.clear());
  assert.deepEqual(heard.filter(({ type }) => type === "mark"), [
    { type: "mark", name: "a", at: 40 },
    { type: "mark", name: "b", at: 50 },
  ]);
  assert.equal(stream.player.played().length, 400);
  assert.deepEqual(stream.log.map(({ type, atMs }) => [type, atMs]), [
    ["audio", 0],
    ["mark", 0],
    ["audio", 0],
    ["mark", 0],
    ["markSent", 40],
    ["clear", 50],
    ["markSent", 50],
  ]);
});

Deno.test("stream delays each way by what is asked", async () => {
  const { clock, stream, server, protocol, heard } = setUp({
    delayMs: { toCarrier: 30, toServer: 50 },
  });
  await clock.advance(50);
  server.send(protocol.audio(tone(1)));
  server.send(protocol.mark("a"));
  await clock.advance(150);
  assert.equal(stream.player.pieces()[0]?.atMs, 80);
  assert.deepEqual(heard.slice(0, 3).map(({ type, at }) => [type, at]), [
    ["connected", 50],
    ["started", 50],
    ["audio", 70],
  ]);
  assert.deepEqual(heard.find(({ type }) => type === "mark")?.at, 150);
});

Deno.test("stream with jitter keeps the order, and one seed gives one history", async () => {
  async function history(seed: number): Promise<number[]> {
    const { clock, heard } = setUp({ jitterMs: 70, random: prng(seed) });
    await clock.advance(1000);
    return heard.map(({ at }) => at);
  }
  const one = await history(1);
  assert.deepEqual(one, await history(1));
  assert.notDeepEqual(one, await history(2));
  assert.deepEqual(one, one.toSorted((a, b) => a - b));
});

Deno.test("stream does not drift when every timer is late", async () => {
  const clock = manualClock();
  const late = { ...clock, timer: (ms: number, act: () => void) => clock.timer(ms + 7, act) };
  const { stream, heard } = setUp({ clock: late }, clock);
  await clock.advance(10_000);
  const frames = audioOf(heard).length;
  assert.ok(frames === 499 || frames === 500, `${frames} frames came in 10 s`);
  stream.drop();
});

Deno.test("stream may bunch its frames", async () => {
  const { clock, heard } = setUp({ faults: { bunch: 3 } });
  await clock.advance(130);
  assert.deepEqual(audioOf(heard).map(([at]) => at), [60, 60, 60, 120, 120, 120]);
});

Deno.test("stream may tell marks late or never", async () => {
  for (const [lateMarksMs, expected] of [[200, [220]], [null, []]] as const) {
    const { clock, server, protocol, heard } = setUp({ faults: { lateMarksMs } });
    server.send(protocol.audio(tone(1)));
    server.send(protocol.mark("a"));
    await clock.advance(500);
    const marks = heard.flatMap(({ type, at }) => type === "mark" ? [at] : []);
    assert.deepEqual(marks, [...expected]);
  }
});

Deno.test("stream may start twice, which our protocol refuses", () => {
  assert.throws(() => setUp({ faults: { duplicateStart: true } }), /"start" while started/);
});

Deno.test("stream stops with the word, or drops without it, mid-speech", async () => {
  for (const how of ["stop", "drop"] as const) {
    const { clock, stream, heard, ends } = setUp();
    const said = stream.say(tone(10));
    await clock.advance(50);
    stream[how]();
    await clock.advance(50);
    assert.equal(heard.at(-1)?.type, how === "stop" ? "stopped" : "audio");
    assert.deepEqual(ends, [[50, how === "stop" ? 1000 : 1006]]);
    assert.equal(await said, null);
    assert.equal(clock.armed, 0);
  }
});

Deno.test("stream ends when the server closes", async () => {
  const closes: [number, string][] = [];
  const { clock, stream, server, protocol } = setUp({
    closed: (code, reason) => closes.push([code, reason]),
  });
  server.send(protocol.audio(tone(5)));
  await clock.advance(50);
  server.close(1008, "Wrong");
  await clock.advance(100);
  assert.deepEqual(closes, [[1008, "Wrong"]]);
  assert.equal(stream.player.played().filter((byte) => byte === 1).length, 400);
  assert.equal(await stream.say(tone(1)), null);
  assert.equal(clock.armed, 0);
});

Deno.test("stream warns of what Twilio would not take, and goes on", async () => {
  const { clock, stream, server, protocol } = setUp();
  server.send(new Uint8Array([1]));
  server.send("{");
  server.send(JSON.stringify({ event: "clear", streamSid: "MZ2" }));
  server.send(JSON.stringify({ event: "clear", streamSid: "MZ1", extra: 1 }));
  server.send(protocol.clear());
  await clock.advance(20);
  assert.deepEqual(stream.log.map((entry) => entry.type === "warning" ? entry.code : entry.type), [
    31950,
    31924,
    31924,
    31924,
    "clear",
  ]);
});

Deno.test("stream drops the caller's frames while the server reads slowly", async () => {
  const clock = manualClock();
  const [client, server] = socketPair({ clock });
  let buffered = 0;
  const slow: MessageSocket = {
    get bufferedBytes() {
      return buffered;
    },
    send: (data) => client.send(data),
    close: (code, reason) => client.close(code, reason),
    listen: (events) => client.listen(events),
  };
  let frames = 0;
  server.listen({ message: (text) => frames += Number(/"media"/.test(String(text))), closed() {} });
  const stream = newMediaStream({
    socket: slow,
    clock,
    accountSid: "AC1",
    callSid: "CA1",
    streamSid: "MZ1",
    parameters: {},
  });
  await clock.advance(100);
  buffered = 1_000_000;
  await clock.advance(60);
  buffered = 0;
  await clock.advance(40);
  assert.equal(stream.droppedFrames(), 3);
  assert.equal(frames, 7);
});

Deno.test("stream presses keys", async () => {
  const { clock, stream, heard } = setUp();
  await clock.advance(10);
  stream.press("5");
  assert.deepEqual(heard.at(-1), { type: "dtmf", digit: "5", at: 10 });
});
