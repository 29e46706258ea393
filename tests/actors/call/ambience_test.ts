/** The sound of a room: on its own by little ahead, under speech, and quietly behind a clear. */

import assert from "node:assert/strict";
import { Ambience, AMBIENCE_LEAD_MS, FADE_IN_MS } from "@/actors/call/ambience.ts";
import type { LegMessage } from "@/actors/call/leg.ts";
import { PIECE_MS } from "@/actors/call/playout.ts";
import { type FromSpeaker, speaker, speakerKind } from "@/actors/call/speaker.ts";
import { newTicker } from "@/actors/call/ticker.ts";
import { KeyEar } from "@/lib/audio/dtmf.ts";
import { BYTES_PER_MS, SILENCE } from "@/lib/audio/frame.ts";
import { decodeMulaw, encodeMulaw } from "@/lib/audio/mulaw.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

/** A sound that is the same everywhere: what it is added to is seen. */
const ROOM = encodeMulaw(new Int16Array(1_000).fill(500));
type Sent = { readonly at: number } & LegMessage;

Deno.test("alone it is sent by little ahead, and again before the line runs dry", () => {
  const ambience = new Ambience(ROOM);
  let sentMs = 0;
  for (let now = 0; now < 10_000; now += 20) {
    sentMs += (ambience.take(now)?.length ?? 0) / BYTES_PER_MS;
    const aheadMs = sentMs - now;
    assert.ok(aheadMs >= 40 && aheadMs <= AMBIENCE_LEAD_MS, `${aheadMs} ms ahead at ${now}`);
  }
});

Deno.test("it comes up from nothing, and again behind a clear", () => {
  const ambience = new Ambience(ROOM);
  const levels = (from: number): number[] => {
    const heard: number[] = [];
    for (let now = from; now < from + FADE_IN_MS; now += 20) {
      heard.push(...decodeMulaw(ambience.take(now) ?? new Uint8Array()));
    }
    return heard;
  };
  for (const from of [0, 10_000]) {
    const heard = levels(from);
    assert.ok((heard[0] ?? NaN) < 30);
    assert.ok(Math.abs((heard.at(-1) ?? NaN) - 500) < 60);
    assert.deepEqual(heard.toSorted((a, b) => a - b), heard);
    ambience.cleared(from + 5_000);
  }
});

Deno.test("while speech is ahead none is sent beside it", () => {
  const ambience = new Ambience(ROOM);
  ambience.under(new Uint8Array(400 * BYTES_PER_MS).fill(SILENCE), 0);
  assert.equal(ambience.take(340), null);
  assert.equal(ambience.take(360)?.length, 40 * BYTES_PER_MS);
});

function setUp(room: Uint8Array | null = ROOM) {
  const { clock, system, settle } = actorKit();
  const told: FromSpeaker[] = [];
  const sent: Sent[] = [];
  const leg = {
    send: (message: LegMessage) => sent.push({ ...message, at: clock.now() }) > 0,
  };
  const ref = system.spawn(speakerKind, "speaker", () =>
    speaker({
      tts: simulatedTts({ clock }),
      options: { voice: null, language: "en" },
      ticker: newTicker(clock),
      call: { send: (message) => told.push(message) > 0 },
      ambience: Promise.resolve(room),
    }));
  return {
    ...{ clock, ref, sent, told, leg },
    surround: (to: typeof leg | null) => ref.send({ type: "surround", leg: to }),
    say(generation: number, text: string) {
      ref.send({ type: "begin", generation, isHeld: false, leg });
      ref.send({ type: "text", generation, text });
      ref.send({ type: "finish", generation });
    },
    async end() {
      system.stop("speaker", "speaker", "test");
      await settle();
      assert.equal(clock.armed, 0, "nothing ticks any more");
    },
  };
}

const playsOf = (sent: readonly Sent[]) =>
  sent.flatMap((it) => it.type === "play" ? [{ at: it.at, audio: it.audio }] : []);

/** What the carrier has left to play after each piece; it began with the first. */
function leads(sent: readonly Sent[]): number[] {
  let until = -Infinity;
  return playsOf(sent).map(({ at, audio }) => {
    until = Math.max(at, until) + audio.length / BYTES_PER_MS;
    return until - at;
  });
}

/** Milliseconds at which the carrier had nothing to play. */
function holes(sent: readonly Sent[]): number {
  let until: number | null = null;
  let dryMs = 0;
  for (const { at, audio } of playsOf(sent)) {
    if (until !== null) dryMs += Math.max(0, at - until);
    until = Math.max(at, until ?? at) + audio.length / BYTES_PER_MS;
  }
  return dryMs;
}

Deno.test("from the moment somebody listens the line is never silent, and never far ahead", async () => {
  const { clock, surround, leg, sent, end } = setUp();
  await clock.advance(500);
  assert.deepEqual(sent, []);
  surround(leg);
  await clock.advance(5_000);
  assert.equal(holes(sent), 0);
  assert.ok(Math.max(...leads(sent)) <= AMBIENCE_LEAD_MS);
  surround(null);
  const { length } = sent;
  await clock.advance(5_000);
  assert.equal(sent.length, length);
  await end();
});

Deno.test("speech goes over it: it begins at once, has its marks where it had them, and is followed without a hole", async () => {
  const { clock, surround, leg, say, sent, told, end } = setUp();
  surround(leg);
  await clock.advance(2_000);
  say(1, "One two, three.");
  await clock.advance(5_000);
  assert.equal(holes(sent), 0);
  const began = told.find((it) => it.type === "playoutBegan");
  const first = told.find((it) => it.type === "synthesisBegan");
  assert.equal(began?.at, first?.at);
  const startAt = sent.findIndex((it) => it.type === "mark" && it.name === "1:start");
  const from = sent.slice(0, startAt).findLastIndex((it) => it.type === "play");
  const { placed, marked } = bytesAtMarks(sent.slice(from), told);
  assert.deepEqual(marked, placed);
  await end();
});

/** The bytes of speech before each word's mark, and where the words were placed. */
function bytesAtMarks(sent: readonly Sent[], told: readonly FromSpeaker[]) {
  let bytes = 0;
  const marked: number[] = [];
  for (const it of sent) {
    if (it.type === "play") bytes += it.audio.length;
    if (it.type === "mark" && it.name.includes(":w")) marked.push(bytes);
  }
  const words = told.flatMap((it) => it.type === "wordsPlaced" ? it.words : []);
  return { marked, placed: words.map(({ endByte }) => endByte) };
}

Deno.test("behind a clear nothing of the utterance comes, and the room comes up from nothing", async () => {
  const { clock, surround, ref, leg, say, sent, end } = setUp();
  surround(leg);
  say(1, "We are open from Monday to Friday, nine to five, and on Saturdays until one.");
  await clock.advance(1_000);
  const before = sent.length;
  ref.send({ type: "silence", generation: 1, leg });
  await clock.advance(3_000);
  const [clear, ...after] = sent.slice(before);
  assert.deepEqual(clear, { type: "clear", mark: "1:cut", at: 1_000 });
  const heard = playsOf(after).flatMap(({ audio }) => [...decodeMulaw(audio)]);
  assert.ok((heard[0] ?? NaN) < 30);
  assert.ok(heard.every((it) => it >= 0 && it < 560), "the room alone");
  assert.ok(heard.length > 2_900 * BYTES_PER_MS);
  assert.ok(Math.max(...leads(after)) <= AMBIENCE_LEAD_MS);
  await end();
});

Deno.test("while a voice is slow the room goes on, a little ahead", async () => {
  const { clock, surround, leg, ref, sent, end } = setUp();
  surround(leg);
  await clock.advance(1_000);
  ref.send({ type: "begin", generation: 1, isHeld: false, leg });
  ref.send({ type: "text", generation: 1, text: "Well, " });
  await clock.advance(4_000); // the model writes no more
  ref.send({ type: "text", generation: 1, text: "here it is." });
  ref.send({ type: "finish", generation: 1 });
  await clock.advance(3_000);
  assert.equal(holes(sent), 0);
  await end();
});

Deno.test("one that is held is not heard, and the room is", async () => {
  const { clock, surround, leg, ref, sent, end } = setUp();
  surround(leg);
  await clock.advance(1_000);
  ref.send({ type: "begin", generation: 1, isHeld: true, leg });
  ref.send({ type: "text", generation: 1, text: "Held back." });
  ref.send({ type: "finish", generation: 1 });
  await clock.advance(2_000);
  assert.equal(holes(sent), 0);
  assert.ok(sent.every(({ type }) => type === "play"));
  ref.send({ type: "release", generation: 1 });
  await clock.advance(3_000);
  assert.ok(sent.some((it) => it.type === "mark" && it.name === "1:end"));
  assert.equal(holes(sent), 0);
  await end();
});

Deno.test("tones have the line for themselves, and the room goes on behind them", async () => {
  const { clock, surround, leg, ref, sent, end } = setUp();
  surround(leg);
  await clock.advance(1_000);
  const before = sent.length;
  ref.send({ type: "begin", generation: 1, isHeld: false, leg, keys: "19#" });
  await clock.advance(3_000);
  const after = sent.slice(before);
  const endAt = after.findIndex((it) => it.type === "mark" && it.name === "1:end");
  const tones = playsOf(after.slice(0, endAt));
  assert.equal(new KeyEar().take(Uint8Array.from(tones.flatMap(({ audio }) => [...audio]))), "19#");
  const silent = tones.flatMap(({ audio }) => [...decodeMulaw(audio)]).filter((it) => it === 0);
  assert.ok(silent.length > 50 * BYTES_PER_MS, "between two keys is silence");
  assert.ok(playsOf(after.slice(endAt)).length > 10);
  await end();
});

Deno.test("a sound that cannot be had is none", async () => {
  const { clock, surround, leg, say, sent, end } = setUp(null);
  surround(leg);
  await clock.advance(2_000);
  assert.equal(sent.length, 0);
  say(1, "One two.");
  await clock.advance(PIECE_MS * 30);
  assert.ok(sent.some((it) => it.type === "mark" && it.name === "1:end"));
  await end();
});
