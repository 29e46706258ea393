/** A listener: what becomes of the caller's audio when the recogniser is slow, dies, or never works. */

// deno-lint-ignore-file require-yield -- a recogniser that says nothing is what many of these are about

import assert from "node:assert/strict";
import { Vad } from "@/lib/audio/vad.ts";
import { type FromListener, listener, listenerKind, UNTAKEN_MAX } from "@/actors/call/listener.ts";
import { newPieces } from "@/actors/call/pieces.ts";
import type { StopReason } from "@/actors/runtime/actor.ts";
import { AppError } from "@/lib/errors.ts";
import type { Recognition, SpeechToText } from "@/lib/providers/stt/stt.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

type Transcribe = SpeechToText["transcribe"];

const OPTIONS = { language: "en", keyterms: [], endpointingMs: 400 };
const FINAL = { type: "final", text: "hello", startMs: 0, endMs: 40, confidence: 1 } as const;

/** Each session of the recogniser is the next of these; the last one again and again. */
function setUp(...sessions: readonly Transcribe[]) {
  return setUpWith({ isEarly: true }, sessions);
}

function setUpWith(
  { isEarly, tellsSounds = false }: { isEarly: boolean; tellsSounds?: boolean },
  sessions: readonly Transcribe[],
) {
  const { clock, system, settle } = actorKit();
  const pieces = newPieces();
  const told: FromListener[] = [];
  const stops: StopReason[] = [];
  let opened = 0;
  const stt: SpeechToText = {
    provider: "test",
    transcribe(audio, options, signal) {
      const session = sessions[Math.min(opened++, sessions.length - 1)];
      if (session === undefined) throw new Error("No session");
      return session(audio, options, signal);
    },
  };
  const call = { send: (message: FromListener) => told.push(message) > 0 };
  const ref = system.spawn(
    listenerKind,
    "listener",
    () => listener({ stt, options: OPTIONS, call, isEarly, vad: new Vad(), tellsSounds, pieces }),
    {
      stopped: (reason) => stops.push(reason),
    },
  );
  return {
    clock,
    settle,
    pieces,
    told,
    stops,
    opened: () => opened,
    frame: (fill: number, count = 1) =>
      ref.send({ type: "audio", audio: new Uint8Array(160 * count).fill(fill) }),
    tune: (language: string) => ref.send({ type: "tune", options: { ...OPTIONS, language } }),
    ignore: () => ref.send({ type: "listen", isDeaf: true }),
    view: () => Object(system.inspect("listener", "listener")?.view),
    stop: () => system.stop("listener", "listener", "test"),
  };
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

/** Takes all audio into `taken`. */
function taking(taken: number[]): Transcribe {
  return async function* (audio) {
    for await (const frame of audio) taken.push(frame[0] ?? -1);
  };
}

/** Takes nothing, says nothing. */
const deaf: Transcribe = async function* (_audio, _options, signal) {
  await untilAborted(signal);
};

function failing(error: unknown): Transcribe {
  return async function* () {
    await null;
    throw error;
  };
}

const LOST = new AppError("provider_failed", "Connection lost", { retryable: true });
const WRONG_KEY = new AppError("provider_failed", "Wrong key", { status: 401 });

Deno.test("what the recogniser hears is told with the time at which its last word came in", async () => {
  const hearing: Transcribe = async function* (audio, _options, signal) {
    for await (const frame of audio) if (frame[0] === 4) break;
    yield FINAL;
    await untilAborted(signal);
  };
  const { clock, frame, told, stop, settle } = setUp(hearing);
  await settle();
  for (let i = 0; i < 5; i++) {
    await clock.advance(20);
    frame(i);
  }
  await settle();
  // 100 ms were fed, the last at 100; the word ended 40 ms into them.
  assert.deepEqual(told, [{ type: "heard", recognition: FINAL, endedAt: 40 }]);
  stop();
  await settle();
});

Deno.test("a recogniser that is lost is replaced in place, and hears what came in meanwhile", async () => {
  const taken: number[] = [];
  const { clock, frame, opened, told, stop, settle } = setUp(failing(LOST), taking(taken));
  await settle();
  for (let i = 0; i < 10; i++) frame(i); // it is in its backoff
  await clock.advance(600);
  assert.equal(opened(), 2);
  assert.deepEqual(taken, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(told, [{ type: "listenerLost" }]);
  stop();
  await settle();
});

Deno.test("a recogniser that ends while the call goes on is replaced as well", async () => {
  const ending: Transcribe = async function* () {
    await null;
  };
  const { clock, opened, stop, settle } = setUp(ending, deaf);
  await clock.advance(600);
  assert.equal(opened(), 2);
  stop();
  await settle();
});

Deno.test("a recogniser that is lost four times within a minute goes to the parent", async () => {
  const { clock, opened, stops } = setUp(failing(LOST));
  await clock.advance(2_000);
  assert.equal(opened(), 4);
  assert.deepEqual(stops, [{ type: "crashed", error: LOST }]);
});

Deno.test("a recogniser that is lost now and then is always replaced", async () => {
  const tiring: Transcribe = async function* (_audio, _options, signal) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.timer(25_000, resolve);
    await Promise.race([promise, untilAborted(signal)]);
    cancel();
    throw LOST;
  };
  const { clock, opened, stops, stop, settle } = setUp(tiring);
  await clock.advance(300_000);
  assert.ok(opened() >= 11, `${opened()} sessions`);
  assert.deepEqual(stops, []);
  stop();
  await settle();
});

Deno.test("a recogniser that will never work is told to the call once, and not tried again", async () => {
  const { clock, opened, told, stop, settle } = setUp(failing(WRONG_KEY));
  await clock.advance(10_000);
  assert.equal(opened(), 1);
  assert.deepEqual(told, [{ type: "deaf", error: WRONG_KEY }]);
  stop();
  await settle();
});

Deno.test("what a caller said while the process stood still for five seconds is heard", async () => {
  const taken: number[] = [];
  const { settle, frame } = setUp(taking(taken));
  await settle();
  for (let i = 0; i < UNTAKEN_MAX; i++) frame(i % 128); // at once, as a socket gives what has waited in it
  await settle();
  assert.equal(taken.length, UNTAKEN_MAX);
});

Deno.test("audio that nobody takes is bounded: the oldest goes", async () => {
  const { frame, view, stop, settle, clock } = setUp(deaf);
  await settle();
  for (let i = 0; i < UNTAKEN_MAX + 100; i++) {
    frame(i);
    await settle();
  }
  assert.deepEqual(view(), {
    provider: "test",
    isOpen: true,
    isDeaf: false,
    fedMs: (UNTAKEN_MAX + 100) * 20,
    waitingMs: UNTAKEN_MAX * 20,
    droppedPieces: 100,
  });
  stop();
  await clock.advance(0);
});

Deno.test("who listens is counted, and goes on to the recogniser what came together", async () => {
  const taken: number[] = [];
  const counting: Transcribe = async function* (audio) {
    for await (const piece of audio) taken.push(piece.length / 160);
  };
  const { frame, pieces, stop, settle, clock } = setUp(counting);
  const others = Array.from({ length: 50 }, () => pieces.enter());
  await settle();
  assert.equal(pieces.frames, 2); // one more than a few
  frame(0, 3);
  frame(1);
  await settle();
  assert.deepEqual(taken, [3, 1]);
  stop();
  await clock.advance(0);
  assert.equal(pieces.frames, 1);
  for (const leave of others) leave();
});

Deno.test("our own ear hears each frame of what comes together", async () => {
  const { frame, told, stop, settle, clock } = setUpWith(
    { isEarly: true, tellsSounds: true },
    [deaf],
  );
  await settle();
  frame(0x80, 15); // as loud as it gets
  await settle();
  assert.deepEqual(told, [
    { type: "sounded", forMs: 100 },
    { type: "sounded", forMs: 200 },
    { type: "sounded", forMs: 300 },
  ]);
  stop();
  await clock.advance(0);
});

Deno.test("where audio was dropped, no time is claimed for a word", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const late: Transcribe = async function* (_audio, _options, signal) {
    await released;
    yield FINAL;
    await untilAborted(signal);
  };
  const { frame, told, stop, settle } = setUp(late);
  await settle();
  for (let i = 0; i <= UNTAKEN_MAX; i++) {
    frame(i);
    await settle();
  }
  release();
  await settle();
  assert.deepEqual(told, [{ type: "heard", recognition: FINAL, endedAt: null }]);
  stop();
  await settle();
});

Deno.test("a word that the recogniser dates into the future was heard now at the latest", async () => {
  const early: Transcribe = async function* (audio, _options, signal) {
    for await (const _ of audio) break;
    const ahead: Recognition = { ...FINAL, endMs: 5_000 };
    yield ahead;
    await untilAborted(signal);
  };
  const { clock, frame, told, stop, settle } = setUp(early);
  await clock.advance(100);
  frame(0);
  await settle();
  assert.deepEqual(told.map((message) => message.type === "heard" && message.endedAt), [100]);
  stop();
  await settle();
});

Deno.test("a listener that stops ends its recogniser's session", async () => {
  let wasAborted = false;
  const watching: Transcribe = async function* (_audio, _options, signal) {
    await untilAborted(signal);
    wasAborted = signal.aborted;
  };
  const { stop, settle } = setUp(watching);
  await settle();
  stop();
  await settle();
  assert.equal(wasAborted, true);
});

Deno.test("a call that may ring for long has no recogniser before its first audio, and loses none of it", async () => {
  const taken: number[] = [];
  const test = setUpWith({ isEarly: false }, [taking(taken)]);
  await test.settle();
  assert.equal(test.opened(), 0);
  for (const fill of [1, 2, 3]) test.frame(fill);
  await test.settle();
  assert.deepEqual([test.opened(), taken], [1, [1, 2, 3]]);
  test.stop();
  await test.settle();
});

Deno.test("an ear of our own tells of sounds a few times a second, and of none while the caller is not listened to", async () => {
  const test = setUpWith({ isEarly: true, tellsSounds: true }, [deaf]);
  await test.settle();
  for (let nth = 0; nth < 25; nth++) test.frame(0x2a);
  await test.settle();
  assert.deepEqual(
    test.told.map((it) => it.type === "sounded" ? it.forMs : 0),
    [100, 200, 300, 400, 500],
  );
  test.ignore();
  for (let nth = 0; nth < 25; nth++) test.frame(0x2a);
  await test.settle();
  assert.equal(test.told.length, 5);
  test.stop();
  await test.settle();
});

/** Is lost for good after its first frame. */
const lost: Transcribe = async function* (_audio, _options, signal) {
  yield { type: "lost" };
  await untilAborted(signal);
};

/** So many frames, 20 ms apart. */
async function line(test: ReturnType<typeof setUp>, fill: number, count: number): Promise<void> {
  for (let nth = 0; nth < count; nth++) {
    test.frame(fill);
    await test.clock.advance(20);
  }
}

Deno.test("a caller who speaks while the recogniser is down is told of, once they have come to an end", async () => {
  const test = setUp(lost);
  await line(test, 0x2a, 40);
  assert.deepEqual(test.told, []); // they are still speaking
  await line(test, 0xff, 40);
  assert.deepEqual(test.told, [{ type: "unheard" }]);
  await line(test, 0xff, 200);
  assert.equal(test.told.length, 1);
  test.stop();
  await test.settle();
});

Deno.test("one that is down after a crash of the listener is as lost as any", async () => {
  const crash: Transcribe = async function* () {
    throw new AppError("provider_failed", "Lost", { retryable: true });
  };
  const test = setUp(crash, deaf);
  await test.clock.advance(1_000);
  await line(test, 0x2a, 40);
  await line(test, 0xff, 40);
  assert.deepEqual(test.told.map(({ type }) => type), ["listenerLost", "unheard"]);
  test.stop();
  await test.settle();
});

Deno.test("nobody is told who was heard, or while the recogniser works", async () => {
  const heard: Transcribe = async function* (_audio, _options, signal) {
    yield { type: "lost" };
    yield FINAL;
    yield { type: "utteranceEnded", lastWordEndMs: 40 };
    await untilAborted(signal);
  };
  for (const session of [deaf, heard]) {
    const test = setUp(session);
    await line(test, 0x2a, 40);
    await line(test, 0xff, 40);
    assert.equal(test.told.some(({ type }) => type === "unheard"), false);
    test.stop();
    await test.settle();
  }
});

Deno.test("what is listened for changes between two utterances, and no frame is lost by it", async () => {
  const asked: string[] = [];
  const taken: number[] = [];
  const finish = Promise.withResolvers<void>();
  const first: Transcribe = async function* (_audio, { language }, signal) {
    asked.push(language);
    yield { type: "speechStarted", atMs: 0 };
    await Promise.race([finish.promise, untilAborted(signal)]);
    yield FINAL;
    yield { type: "utteranceEnded", lastWordEndMs: 40 };
    await untilAborted(signal);
  };
  const second: Transcribe = (audio, options, signal) => {
    asked.push(options.language);
    return taking(taken)(audio, options, signal);
  };
  const { frame, tune, told, stop, settle } = setUp(first, second);
  await settle();
  tune("en"); // as it is
  tune("es");
  for (let i = 0; i < 3; i++) frame(i);
  await settle();
  assert.deepEqual(asked, ["en"]); // the caller is speaking
  finish.resolve();
  await settle();
  frame(3);
  await settle();
  assert.deepEqual(asked, ["en", "es"]);
  assert.deepEqual(taken, [0, 1, 2, 3]);
  assert.deepEqual(told.map((it) => it.type === "heard" ? it.recognition.type : it.type), [
    ...["speechStarted", "final", "utteranceEnded"],
  ]);
  stop();
  await settle();
});
