/** A speaker: how it paces an utterance, and that nothing of an old one is sent behind a clear. */

import assert from "node:assert/strict";
import type { LegMessage } from "@/actors/call/leg.ts";
import { LEAD_MS } from "@/actors/call/playout.ts";
import { type FromSpeaker, speaker, speakerKind } from "@/actors/call/speaker.ts";
import { newTicker } from "@/actors/call/ticker.ts";
import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS } from "@/lib/audio/frame.ts";
import { AppError } from "@/lib/errors.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import type { TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

type Synthesize = TextToSpeech["synthesize"];
type Sent = { readonly at: number } & LegMessage;

/** About five seconds of speech. */
const TEXT = "The clinic is open from Monday to Friday, nine to five, and on Saturdays until one.";

/** Speaks with the simulated voice, so many times slower than real time, or with a voice of the test's own. */
function setUp(voice: Synthesize | { readonly realTimeFactor: number } = { realTimeFactor: 0.05 }) {
  const { clock, system, settle } = actorKit();
  const told: FromSpeaker[] = [];
  const sent: Sent[] = [];
  const leg = {
    send: (message: LegMessage) => sent.push({ ...message, at: clock.now() }) > 0,
  };
  const tts = typeof voice === "function"
    ? { provider: "test", synthesize: voice }
    : simulatedTts({ clock, ...voice });
  const ref = system.spawn(speakerKind, "speaker", () =>
    speaker({
      tts,
      options: { voice: null, language: "en" },
      ticker: newTicker(clock),
      call: { send: (message) => told.push(message) > 0 },
    }));
  return {
    clock,
    settle,
    sent,
    told,
    leg,
    ref,
    say(generation: number, text: string) {
      ref.send({ type: "begin", generation, isHeld: false, leg });
      ref.send({ type: "text", generation, text });
      ref.send({ type: "finish", generation });
    },
    silence: (generation: number) => ref.send({ type: "silence", generation, leg }),
    types: () => told.map((message) => message.type),
    async end() {
      system.stop("speaker", "speaker", "test");
      await settle();
      assert.equal(clock.armed, 0, "nothing ticks any more");
    },
  };
}

function marksOf(sent: readonly Sent[]): string[] {
  return sent.flatMap((message) => message.type === "mark" ? [message.name] : []);
}

/** What a carrier would have in its queue after each message: most, and least before the last frame. */
function leadsOf(sent: readonly Sent[]): { readonly most: number; readonly least: number } {
  const leads: number[] = [];
  let bytes = 0;
  let from: number | null = null;
  for (const message of sent) {
    if (message.type !== "play") continue;
    from ??= message.at;
    if (bytes > 0) leads.push(bytes / BYTES_PER_MS - (message.at - from));
    bytes += message.audio.length;
    leads.push(bytes / BYTES_PER_MS - (message.at - from));
  }
  return { most: Math.max(...leads), least: Math.min(...leads) };
}

Deno.test("audio is sent ahead of real time by the lead at most, and the carrier never runs dry", async () => {
  const { clock, say, sent, told, end } = setUp();
  say(1, TEXT);
  await clock.advance(10_000);
  const { most, least } = leadsOf(sent);
  assert.ok(most <= LEAD_MS + FRAME_MS, `lead ${most} ms`);
  assert.ok(least > 0, `ran dry: ${least} ms`);
  const began = told.find((message) => message.type === "playoutBegan");
  assert.equal(began?.type === "playoutBegan" && began.at, sent[0]?.at);
  assert.equal(marksOf(sent).at(-1), "1:end");
  await end();
});

Deno.test("an utterance has a mark at its start, at the end of each word, and at its end", async () => {
  const { clock, say, sent, told, end } = setUp();
  say(7, "One two, three.");
  await clock.advance(3_000);
  assert.deepEqual(marksOf(sent), ["7:start", "7:w0", "7:w1", "7:w2", "7:end"]);
  const words = told.flatMap((it) => it.type === "wordsPlaced" ? it.words : []);
  assert.deepEqual(words.map((word) => word.text), ["One", "two,", "three."]);
  let bytes = 0;
  const marks: Record<string, number> = {};
  for (const message of sent) {
    if (message.type === "play") bytes += message.audio.length;
    if (message.type === "mark") marks[message.name] = bytes;
  }
  words.forEach((word, at) => assert.equal(marks[`7:w${at}`], word.endByte));
  await end();
});

Deno.test("a call is told once that synthesis and playout have begun", async () => {
  const { clock, say, types, end } = setUp();
  say(1, TEXT);
  await clock.advance(10_000);
  assert.deepEqual(types().filter((type) => type !== "wordsPlaced"), [
    "synthesisBegan",
    "playoutBegan",
  ]);
  await end();
});

Deno.test("nothing of an utterance is sent behind its clear", async () => {
  const { clock, say, silence, sent, end } = setUp();
  say(1, TEXT);
  await clock.advance(1_000);
  const before = sent.length;
  silence(1);
  await clock.advance(10_000);
  assert.deepEqual(sent.slice(before), [{ type: "clear", mark: "1:cut", at: 1_000 }]);
  await end();
});

Deno.test("what follows a silence is of the new utterance only", async () => {
  const { clock, say, silence, sent, end } = setUp();
  say(1, TEXT);
  await clock.advance(1_000);
  const before = sent.length;
  silence(1);
  say(2, "Two words.");
  await clock.advance(5_000);
  assert.deepEqual(marksOf(sent.slice(before)), ["2:start", "2:w0", "2:w1", "2:end"]);
  await end();
});

Deno.test("clauses for an utterance that is over are not spoken", async () => {
  const { clock, say, silence, ref, sent, end } = setUp();
  say(1, TEXT);
  await clock.advance(1_000);
  silence(1);
  await clock.advance(0);
  const before = sent.length;
  ref.send({ type: "text", generation: 1, text: "And another thing." });
  ref.send({ type: "finish", generation: 1 });
  await clock.advance(5_000);
  assert.equal(sent.length, before);
  await end();
});

Deno.test("silence aborts the synthesis", async () => {
  let aborted = false;
  const { settle, ref, silence, leg, end } = setUp(async function* (_text, _options, signal) {
    yield { type: "audio", audio: new Uint8Array(FRAME_BYTES) };
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    aborted = true;
  });
  ref.send({ type: "begin", generation: 1, isHeld: false, leg });
  await settle();
  silence(1);
  await settle();
  assert.equal(aborted, true);
  await end();
});

Deno.test("an utterance whose leg is gone is dropped without a word to that leg", async () => {
  const { clock, say, ref, sent, end } = setUp();
  say(1, TEXT);
  await clock.advance(1_000);
  const before = sent.length;
  ref.send({ type: "silence", generation: 1, leg: null });
  await clock.advance(5_000);
  assert.equal(sent.length, before);
  await end();
});

Deno.test("a synthesis that fails is told, and what it had given is played to its end", async () => {
  const error = new AppError("provider_failed", "Broke off", { retryable: true });
  const { clock, say, told, sent, end } = setUp(async function* () {
    yield { type: "words", words: [{ text: "One", startMs: 0, endMs: 400 }] };
    yield { type: "audio", audio: new Uint8Array(400 * BYTES_PER_MS) };
    yield { type: "words", words: [{ text: "two", startMs: 400, endMs: 900 }] };
    await null;
    throw error;
  });
  say(1, "One two three.");
  await clock.advance(2_000);
  assert.deepEqual(told.filter((it) => it.type === "synthesisFailed"), [
    { type: "synthesisFailed", generation: 1, error },
  ]);
  const placed = told.flatMap((it) => it.type === "wordsPlaced" ? it.words : []);
  assert.deepEqual(placed.map((word) => word.text), ["One"]); // "two" has no audio
  assert.deepEqual(marksOf(sent), ["1:start", "1:w0", "1:end"]);
  const bytes = sent.reduce((sum, it) => sum + (it.type === "play" ? it.audio.length : 0), 0);
  assert.equal(bytes, 400 * BYTES_PER_MS);
  await end();
});

Deno.test("a synthesis that crashes restarts the speaker: the call is told, and the next utterance is spoken", async () => {
  let syntheses = 0;
  const { clock, say, types, sent, end } = setUp(async function* () {
    if (syntheses++ === 0) throw new TypeError("planted");
    await null;
    yield { type: "audio", audio: new Uint8Array(FRAME_BYTES) };
  });
  say(1, "One.");
  await clock.advance(500);
  assert.deepEqual(types(), ["speakerLost"]);
  say(2, "Two.");
  await clock.advance(500);
  assert.deepEqual(marksOf(sent), ["2:start", "2:end"]);
  await end();
});

Deno.test("a synthesiser that goes on without end is stopped, not stored", async () => {
  const { clock, say, types, end } = setUp(async function* (_text, _options, signal) {
    while (!signal.aborted) {
      yield { type: "audio", audio: new Uint8Array(60_000 * BYTES_PER_MS) };
      await null;
    }
  });
  say(1, "One.");
  await clock.advance(1_000);
  assert.ok(types().includes("speakerLost"));
  await end();
});

Deno.test("a synthesis slower than speech is played as it comes, and every mark stands at its word", async () => {
  const { clock, say, sent, end } = setUp({ realTimeFactor: 1.5 });
  say(1, TEXT);
  await clock.advance(20_000);
  assert.equal(marksOf(sent).length, TEXT.split(" ").length + 2);
  const { most, least } = leadsOf(sent);
  assert.ok(most <= LEAD_MS + FRAME_MS, `lead ${most} ms`);
  assert.ok(least < 0, "it ran dry, as it must");
  await end();
});
