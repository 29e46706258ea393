/** A leg: what a carrier's socket may do to a call, and what it may not. */

import assert from "node:assert/strict";
import {
  type FromLeg,
  leg,
  legKind,
  LOOK_MS,
  SILENT_LOOKS,
  START_WITHIN_MS,
  UNSENT_MAX_BYTES,
} from "@/actors/call/leg.ts";
import { listenerKind, type ListenerMessage } from "@/actors/call/listener.ts";
import type { Message } from "@/actors/runtime/actor.ts";
import type { MediaProtocol } from "@/lib/providers/carrier/carrier.ts";
import { twilioMedia } from "@/lib/providers/carrier/twilio_media.ts";
import type { SocketEvents } from "@/lib/socket.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const CALL_SID = `CA${"1".repeat(32)}`;
const STREAM_SID = `MZ${"2".repeat(32)}`;
const TOKEN = "token-of-this-leg";

/** Keeps what it is sent. */
function recipient<M extends Message>() {
  const got: M[] = [];
  return { got, send: (message: M) => got.push(message) > 0 };
}

function setUp(options: { readonly protocol?: MediaProtocol } = {}) {
  const { clock, system, settle } = actorKit();
  const pieces = { frames: 1 };
  const call = recipient<FromLeg>();
  const listener = recipient<ListenerMessage>();
  const sent: string[] = [];
  const closed: number[] = [];
  let events: SocketEvents | undefined;
  let bufferedBytes = 0;
  let sequence = 0;
  const socket = {
    get bufferedBytes() {
      return bufferedBytes;
    },
    send: (data: string | Uint8Array) => void sent.push(String(data)),
    close(code: number) {
      if (closed.length > 0) return;
      closed.push(code);
      events?.closed(code, "");
    },
    listen: (given: SocketEvents) => void (events = given),
  };
  const protocol = options.protocol ?? twilioMedia();
  const settings = { epoch: 3, token: TOKEN, carrierCallId: CALL_SID };
  const ref = system.spawn(
    legKind,
    "leg",
    () => leg(settings, { socket, protocol, call, listener, pieces }),
  );

  const say = (data: string | Uint8Array): void => events?.message(data);
  const tell = (event: string, body: unknown): void =>
    say(JSON.stringify({
      event,
      sequenceNumber: String(++sequence),
      streamSid: STREAM_SID,
      [event]: body,
    }));

  return {
    clock,
    system,
    settle,
    ref,
    call,
    listener,
    pieces,
    sent,
    closed,
    say,
    tell,
    isAlive: () => system.find(legKind, "leg") !== null,
    swell: (bytes: number) => bufferedBytes = bytes,
    hangUp: () => events?.closed(1006, ""),
    start(change: { readonly token?: string; readonly callSid?: string } = {}) {
      say(JSON.stringify({ event: "connected", protocol: "Call", version: "1.0.0" }));
      tell("start", {
        streamSid: STREAM_SID,
        callSid: change.callSid ?? CALL_SID,
        mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
        customParameters: { token: change.token ?? TOKEN },
      });
    },
    media: (fill: number) =>
      tell("media", {
        track: "inbound",
        timestamp: "0",
        payload: new Uint8Array(160).fill(fill).toBase64(),
      }),
    ended: () => call.got.filter((message) => message.type === "legEnded"),
  };
}

async function started(options: { readonly protocol?: MediaProtocol } = {}) {
  const kit = setUp(options);
  await kit.settle();
  kit.start();
  await kit.settle();
  assert.deepEqual(kit.call.got.splice(0), [
    { type: "legStarted", carrierCallId: CALL_SID, epoch: 3 },
  ]);
  return kit;
}

const LOST = [{ type: "legEnded", stopped: false, epoch: 3 }];
const REFUSED = [{ ...LOST[0], wasRefused: true }];

Deno.test("a socket that says no start within five seconds is closed with 1008", async () => {
  const { clock, closed, ended, isAlive } = setUp();
  await clock.advance(START_WITHIN_MS - 1);
  assert.deepEqual(closed, []);
  await clock.advance(1);
  assert.deepEqual({ closed, ended: ended(), alive: isAlive() }, {
    closed: [1008],
    ended: REFUSED,
    alive: false,
  });
});

Deno.test("a socket that starts in time, and goes on, is not closed", async () => {
  const { clock, closed, media } = await started();
  for (let ms = 0; ms < START_WITHIN_MS * 2; ms += LOOK_MS) {
    media(0x7f);
    await clock.advance(LOOK_MS);
  }
  assert.deepEqual(closed, []);
});

Deno.test("a steady line on which no frame comes is given up, as one that the carrier holds for open", async () => {
  const { clock, closed, ended, media } = await started();
  media(0x7f);
  await clock.advance(LOOK_MS * SILENT_LOOKS);
  assert.deepEqual(ended(), []);
  await clock.advance(LOOK_MS);
  assert.deepEqual(ended(), [{ ...LOST[0], wasSilent: true }]);
  assert.deepEqual(closed, [1006]);
});

Deno.test("a line that is not steady may be silent for as long as it likes", async () => {
  const { isSteady: _, ...protocol } = twilioMedia();
  const { clock, closed } = await started({ protocol });
  await clock.advance(LOOK_MS * SILENT_LOOKS * 10);
  assert.deepEqual(closed, []);
});

for (
  const [what, change] of [
    ["a wrong token", { token: "another" }],
    ["no token", { token: "" }],
    ["another call's id", { callSid: `CA${"9".repeat(32)}` }],
  ] as const
) {
  Deno.test(`a start with ${what} closes the socket with 1008, and the call hears of no start`, async () => {
    const { start, settle, closed, call, isAlive } = setUp();
    await settle();
    start(change);
    await settle();
    assert.deepEqual(closed, [1008]);
    assert.deepEqual(call.got, REFUSED);
    assert.equal(isAlive(), false);
  });
}

for (
  const [what, break_] of [
    ["a second start", (kit) => kit.start()],
    ["a binary message", (kit) => kit.say(new Uint8Array([1, 2, 3]))],
    ["what is not JSON", (kit) => kit.say("{garbage")],
    ["an unknown event", (kit) => kit.tell("transfer", {})],
    ["an empty message", (kit) => kit.say("")],
  ] as readonly [string, (kit: Awaited<ReturnType<typeof started>>) => void][]
) {
  Deno.test(`${what} closes the socket with 1008, and the call is told once`, async () => {
    const kit = await started();
    break_(kit);
    kit.media(1); // what comes behind it counts no more
    await kit.settle();
    assert.deepEqual(kit.closed, [1008]);
    assert.deepEqual(kit.call.got, REFUSED);
    assert.equal(kit.isAlive(), false);
  });
}

Deno.test("a leg hands over audio only once its stream has started", async () => {
  const protocol: MediaProtocol = {
    ...twilioMedia(),
    parse: () => ({ type: "audio", audio: new Uint8Array(160), atMs: 0 }),
  };
  const { say, settle, listener } = setUp({ protocol });
  await settle();
  say("audio before start");
  await settle();
  assert.deepEqual(listener.got, []);
});

Deno.test("on a machine with many calls frames go to the listener together, and none is lost at the end", async () => {
  const { media, hangUp, settle, listener, pieces } = await started();
  const got = (): number[][] =>
    listener.got.map((message) =>
      message.type === "audio"
        ? Array.from(
          { length: message.audio.length / 160 },
          (_, nth) => message.audio[nth * 160] ?? -1,
        )
        : []
    );
  pieces.frames = 3;
  for (let i = 0; i < 7; i++) media(i);
  assert.deepEqual(got(), [[0, 1, 2], [3, 4, 5]]);
  pieces.frames = 1;
  for (let i = 7; i < 9; i++) media(i);
  assert.deepEqual(got().slice(2), [[6, 7], [8]]); // what was held goes first
  pieces.frames = 2;
  media(9);
  hangUp();
  await settle();
  assert.deepEqual(got().slice(4), [[9]]);
});

Deno.test("audio of a started stream waits in no mailbox of the leg, and none follows its stop", async () => {
  const { media, tell, settle, listener, call } = await started();
  for (let i = 0; i < 60; i++) media(i); // within one turn of the event loop: no actor has had a turn
  const frames = listener.got.map((message) => message.type === "audio" ? message.audio[0] : null);
  assert.deepEqual(frames, Array.from({ length: 60 }, (_, i) => i));
  tell("stop", {});
  await settle();
  media(60);
  await settle();
  assert.equal(listener.got.length, 60);
  assert.deepEqual(call.got, [{ type: "legEnded", stopped: true, epoch: 3 }]);
  assert.equal(listenerKind.media?.max, 250); // the bound of what waits stands there
});

Deno.test("marks carry the time at which they came in, and keys come through", async () => {
  const { clock, tell, settle, call } = await started();
  await clock.advance(250);
  tell("mark", { name: "1:w0" });
  tell("dtmf", { track: "inbound_track", digit: "5" });
  await settle();
  const [mark, key] = call.got;
  assert.ok(mark?.type === "marked" && mark.name === "1:w0" && mark.at === 250);
  assert.deepEqual(key, { type: "pressed", digit: "5" });
});

Deno.test("a clear goes out with the mark that says when it has been done", async () => {
  const { ref, sent, settle } = await started();
  ref.send({ type: "clear", mark: "4:cut" });
  await settle();
  assert.deepEqual(sent.map((text) => JSON.parse(text)), [
    { event: "mark", streamSid: STREAM_SID, mark: { name: "4:cut" } },
    { event: "clear", streamSid: STREAM_SID },
  ]);
});

Deno.test("a throw in the protocol ends this leg alone, and the call is told", async () => {
  const twilio = twilioMedia();
  const protocol: MediaProtocol = {
    ...twilio,
    parse(text) {
      if (text.includes("dtmf")) throw new TypeError("planted");
      return twilio.parse(text);
    },
  };
  const { tell, settle, ended, closed, isAlive, system } = await started({ protocol });
  tell("dtmf", { digit: "1" });
  await settle();
  assert.deepEqual({ ended: ended(), closed, alive: isAlive() }, {
    ended: LOST,
    closed: [1000],
    alive: false,
  });
  assert.equal(system.metrics().kinds["leg"]?.crashes, 1);
});

Deno.test("a carrier that has stopped reading is dropped: what cannot be played is not taken as said", async () => {
  const { ref, sent, swell, settle, ended, closed } = await started();
  swell(UNSENT_MAX_BYTES + 1);
  for (let i = 0; i < 100; i++) {
    ref.send({ type: "play", audio: new Uint8Array(160) });
    ref.send({ type: "mark", name: `1:w${i}` });
  }
  await settle();
  assert.deepEqual(sent, []);
  assert.deepEqual(closed, [1006]); // a close frame would stand behind all that is unsent
  assert.deepEqual(ended(), LOST);
});

Deno.test("stop of the carrier ends the leg, though its socket stays open", async () => {
  const { tell, settle, ended, isAlive, closed } = await started();
  tell("stop", {});
  await settle();
  assert.deepEqual(ended(), [{ type: "legEnded", stopped: true, epoch: 3 }]);
  assert.equal(isAlive(), false);
  assert.deepEqual(closed, [1000]);
});

Deno.test("audio on its way when stop comes is dropped, and the stop still counts", async () => {
  const { ref, tell, settle, ended, sent } = await started();
  ref.send({ type: "play", audio: new Uint8Array(160) });
  ref.send({ type: "mark", name: "1:w0" });
  tell("stop", {}); // has come in before the leg's turn
  await settle();
  assert.deepEqual(ended(), [{ type: "legEnded", stopped: true, epoch: 3 }]);
  assert.ok(sent.length <= 2);
});

Deno.test("a socket that closes without stop is a lost leg", async () => {
  const { hangUp, settle, call, isAlive } = await started();
  hangUp();
  await settle();
  assert.deepEqual(call.got, LOST);
  assert.equal(isAlive(), false);
});

Deno.test("hang-up closes the socket with 1000", async () => {
  const { ref, settle, closed, ended } = await started();
  ref.send({ type: "hangUp" });
  await settle();
  assert.deepEqual(closed, [1000]);
  assert.deepEqual(ended(), LOST);
});
