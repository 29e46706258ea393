/** The simulated recogniser: what it reports of what it hears, and when. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { SILENCE } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const RUNS = { seed: 31, numRuns: 100 };
const FRAME = [160];

function setUp(latencyMs = 0) {
  const clock = manualClock();
  const abort = new AbortController();
  const stt = simulatedStt({ clock, latencyMs });
  const transcribe = (audio: AsyncIterable<Uint8Array>, endpointingMs = 300) =>
    stt.transcribe(audio, { language: "en", keyterms: [], endpointingMs }, abort.signal);
  return { clock, abort, transcribe };
}

const silence = (ms: number) => new Uint8Array(ms * 8).fill(SILENCE);

/** The parts as one stretch of audio, in chunks of the sizes in turn. */
async function* line(sizes: readonly number[], ...parts: readonly Uint8Array[]) {
  const audio = Uint8Array.from(parts.flatMap((part) => [...part]));
  let at = 0;
  for (let i = 0; at < audio.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield audio.subarray(at, at + size);
    at += size;
  }
}

/** A line that stays open when all has been said. */
async function* thenHanging(audio: AsyncIterable<Uint8Array>) {
  yield* audio;
  await new Promise(() => {});
}

/** What is reported of `text` that is spoken at `atMs`. */
function reported(text: string, atMs: number): Recognition[] {
  const { words } = speak(text);
  if (words.length === 0) return [];
  const texts = words.map((word) => word.text);
  const endMs = atMs + (words.at(-1)?.endMs ?? 0);
  return [
    { type: "speechStarted", atMs },
    ...words.map((word, i): Recognition => (
      { type: "interim", text: texts.slice(0, i + 1).join(" "), endMs: atMs + word.endMs }
    )),
    { type: "final", text: texts.join(" "), startMs: atMs, endMs, confidence: 1 },
    { type: "utteranceEnded", lastWordEndMs: endMs },
  ];
}

Deno.test("an utterance starts, grows by words, becomes final and ends, in any chunks", async () => {
  const chunks = fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 4 });
  const anyText = fc.array(fc.string({ unit: "binary", maxLength: 6 }), { maxLength: 4 })
    .map((parts) => parts.join(" "));
  await fc.assert(
    fc.asyncProperty(anyText, anyText, chunks, async (first, second, sizes) => {
      const { transcribe } = setUp();
      const firstAudio = speak(first).audio;
      const audio = line(sizes, silence(40), firstAudio, silence(301), speak(second).audio);
      const secondMs = 40 + firstAudio.length / 8 + 301;
      assert.deepEqual(
        await Array.fromAsync(transcribe(audio)),
        [...reported(first, 40), ...reported(second, secondMs)],
      );
    }),
    RUNS,
  );
});

Deno.test("an utterance is over after endpointingMs of audio, to the sample, though no clock runs", async () => {
  const { audio, words } = speak("Hello");
  const quietFrom = (words[0]?.endMs ?? 0) * 8;
  const speech = Uint8Array.from([...audio, ...silence(2_000)]);
  for (const [samples, isOver] of [[500 * 8 - 1, false], [500 * 8, true]] as const) {
    const { clock, abort, transcribe } = setUp();
    const heard: Recognition[] = [];
    const reading = (async () => {
      const audio = thenHanging(line(FRAME, speech.subarray(0, quietFrom + samples)));
      for await (const recognition of transcribe(audio, 500)) heard.push(recognition);
    })();
    await clock.settle();
    assert.deepEqual(heard, isOver ? reported("Hello", 0) : reported("Hello", 0).slice(0, 2));
    abort.abort(new Error("enough"));
    await assert.rejects(reading, { message: "enough" });
  }
});

Deno.test("a pause shorter than endpointingMs does not end an utterance", async () => {
  const { transcribe } = setUp();
  const { audio } = speak("Well");
  const speech = line(FRAME, audio, silence(250), speak("yes").audio, silence(400));
  const finals = (await Array.fromAsync(transcribe(speech))).filter((heard) =>
    heard.type === "final"
  );
  assert.deepEqual(finals.map((heard) => heard.text), ["Well yes"]);
});

Deno.test("a word that breaks off is not reported, and the utterance ends with the one before", async () => {
  const { transcribe } = setUp();
  const { audio, words } = speak("Hello there");
  const [hello, there] = words;
  assert.ok(hello && there);
  const cut = audio.subarray(0, there.endMs * 8 - 1); // the last sample is missing
  assert.deepEqual(
    await Array.fromAsync(transcribe(line(FRAME, cut, silence(1_000)))),
    reported("Hello", 0),
  );
});

Deno.test("an utterance of a broken word alone ends without text", async () => {
  const { transcribe } = setUp();
  const cut = speak("Hello").audio.subarray(0, 192 + 480 + 300);
  assert.deepEqual(await Array.fromAsync(transcribe(line(FRAME, cut, silence(1_000)))), [
    { type: "speechStarted", atMs: 0 },
    { type: "utteranceEnded", lastWordEndMs: 24 + 60 },
  ]);
});

Deno.test("audio that ends makes what is there final at once", async () => {
  const { transcribe } = setUp();
  const { audio } = speak("Good bye");
  const broken = speak("now").audio.subarray(0, 700);
  assert.deepEqual(
    await Array.fromAsync(transcribe(line(FRAME, audio, broken))),
    reported("Good bye", 0),
  );
});

Deno.test("silence is nothing to report", async () => {
  const { transcribe } = setUp();
  assert.deepEqual(await Array.fromAsync(transcribe(line(FRAME, silence(3_000)))), []);
});

Deno.test("speech is seen within 80 ms of its first tone, latency included", async () => {
  const { clock, transcribe } = setUp(30);
  const { audio } = speak("Hello");
  async function* live() {
    for await (const frame of line(FRAME, silence(55), audio)) {
      await clock.advance(20);
      yield frame;
    }
  }
  const first = await transcribe(live())[Symbol.asyncIterator]().next();
  assert.deepEqual(first.value, { type: "speechStarted", atMs: 55 });
  assert.ok(clock.now() <= 55 + 80, `${clock.now()}`);
});

Deno.test("everything is reported its latency after the audio that shows it", async () => {
  const { clock, transcribe } = setUp(30);
  const times: number[] = [];
  const reading = (async () => {
    for await (const _ of transcribe(line([100_000], speak("Hi you").audio))) {
      times.push(clock.now());
    }
  })();
  await clock.advance(1_000);
  await reading;
  assert.deepEqual(times, [30, 30, 30, 30, 30]);
});

Deno.test("an abort ends a session whose line is silent, at once", async () => {
  const { abort, transcribe } = setUp();
  const waiting = transcribe(thenHanging(line(FRAME, silence(20))))[Symbol.asyncIterator]().next();
  await Promise.resolve();
  abort.abort(new Error("hung up"));
  await assert.rejects(waiting, { message: "hung up" });
});

Deno.test("who leaves the loop ends the session", async () => {
  const { clock, transcribe } = setUp();
  const told = Promise.withResolvers<string>();
  const frames = [speak("Hello").audio];
  const endless: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next() {
        const value = frames.shift();
        return value ? Promise.resolve({ done: false, value }) : new Promise(() => {});
      },
      return() {
        told.resolve("told");
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
  for await (const heard of transcribe(endless)) if (heard.type === "interim") break;
  await clock.settle();
  assert.equal(await told.promise, "told");
});

Deno.test("what the simulated voice says, the simulated recogniser hears", async () => {
  const { clock, transcribe } = setUp();
  const tts = simulatedTts({ clock, firstByteMs: 0, realTimeFactor: 0 });
  async function* spoken() {
    async function* text() {
      yield "Your appointment is on Tuesday,";
      yield " at half past three.";
    }
    const { signal } = new AbortController();
    for await (const part of tts.synthesize(text(), { voice: "any", language: "en" }, signal)) {
      if (part.type === "audio") yield part.audio;
    }
  }
  assert.deepEqual(
    await Array.fromAsync(transcribe(spoken())),
    reported("Your appointment is on Tuesday, at half past three.", 0),
  );
});

Deno.test("who asks for guesses hears one soon, which more words take back, and then the end", async () => {
  const { abort } = setUp();
  const stt = simulatedStt({ clock: manualClock(), latencyMs: 0, eagerMs: 150 });
  const judgement = { eagerThreshold: 0.5, endThreshold: null, endTimeoutMs: null };
  const options = { language: "en", keyterms: [], endpointingMs: 400, judgement };
  const audio = line(
    FRAME,
    speak("I want").audio,
    silence(200),
    speak("that.").audio,
    silence(900),
  );
  const heard = await Array.fromAsync(stt.transcribe(audio, options, abort.signal));
  const told = heard.filter(({ type }) => type !== "interim");
  assert.deepEqual(told.map((it) => "text" in it ? `${it.type} ${it.text}` : it.type), [
    "speechStarted",
    "eagerEnded I want",
    "resumed",
    "eagerEnded I want that.",
    "final I want that.",
    "utteranceEnded",
  ]);
});

Deno.test("silence that is too short for a guess brings none", async () => {
  const { abort } = setUp();
  const stt = simulatedStt({ clock: manualClock(), latencyMs: 0, eagerMs: 150 });
  const judgement = { eagerThreshold: 0.5, endThreshold: null, endTimeoutMs: null };
  const options = { language: "en", keyterms: [], endpointingMs: 400, judgement };
  const audio = line(
    FRAME,
    speak("I want").audio,
    silence(60),
    speak("that.").audio,
    silence(60),
  );
  const heard = await Array.fromAsync(stt.transcribe(audio, options, abort.signal));
  assert.equal(heard.some(({ type }) => type === "eagerEnded" || type === "resumed"), false);
});
