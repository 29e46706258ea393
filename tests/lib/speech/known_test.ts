/** Recorded and fixed sentences beside live ones: every word once, in order, with its time, and no gap. */

import assert from "node:assert/strict";
import { newAsyncQueue } from "@/lib/async_queue.ts";
import { heardWords, speak } from "@/lib/audio/modem.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import type { Speech, SynthesisOptions, TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { type Clip, type KnownSentences, segmentsOf, withKnown } from "@/lib/speech/known.ts";
import { never } from "@/tests/support/contract_provider.ts";
import { audioOf, wordsOf } from "@/tests/support/contract_tts.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const OPTIONS: SynthesisOptions = { voice: null, language: "en" };

function clipOf(text: string, audio: Uint8Array | null = speak(text).audio): Clip {
  return { text, audio: () => Promise.resolve(audio) };
}

function setUp(known: Partial<KnownSentences>) {
  const simulated = simulatedTts({ clock: manualClock(), firstByteMs: 0, realTimeFactor: 0 });
  const asked: { text: string; isFixed: boolean }[] = [];
  const inner: TextToSpeech = {
    provider: "test",
    async *synthesize(text, options, signal) {
      const one = { text: "", isFixed: options.isFixed ?? false };
      asked.push(one);
      async function* noted(): AsyncGenerator<string> {
        for await (const piece of text) {
          one.text += piece;
          yield piece;
        }
      }
      yield* simulated.synthesize(noted(), options, signal);
    },
  };
  const voice = withKnown(inner, { fixed: new Set(), clips: [], ...known });
  const say = (...pieces: readonly string[]): Promise<Speech[]> =>
    Array.fromAsync(voice.synthesize(each(...pieces), OPTIONS, never()));
  return { asked, voice, say };
}

async function* each(...pieces: readonly string[]): AsyncGenerator<string> {
  yield* pieces;
}

function heard(speech: readonly Speech[]): string {
  const words = heardWords(audioOf(speech));
  assert.ok(words.every(({ complete }) => complete));
  return words.map(({ text }) => text).join(" ");
}

const told = (speech: readonly Speech[]): string =>
  wordsOf(speech).map(({ text }) => text).join(" ");

Deno.test("a recorded part is played between spoken ones, in order and without a gap", async () => {
  const clip = clipOf("We are open from nine to five.");
  const { say, asked } = setUp({ clips: [clip] });
  const text = "Welcome to Bikes. We are open from nine to five. How can I help?";
  const speech = await say(text);
  assert.equal(told(speech), text);
  assert.equal(heard(speech), text);
  assert.deepEqual(asked.map((it) => it.text.trim()), ["Welcome to Bikes.", "How can I help?"]);
  const alone = speak("Welcome to Bikes.").audio.length + speak(clip.text).audio.length +
    speak("How can I help?").audio.length;
  assert.equal(audioOf(speech).length, alone, "nothing stands between the parts");
});

Deno.test("no word of a recording is told as said before it is, and none after its end", async () => {
  const { say } = setUp({ clips: [clipOf("a incomprehensibilities b c")] });
  const speech = await say("Hello there. a incomprehensibilities b c And on.");
  const trueEnds = heardWords(audioOf(speech)).map(({ endSample }) => endSample / 8);
  wordsOf(speech).forEach(({ endMs, startMs }, nth) => {
    assert.ok(endMs >= (trueEnds[nth] ?? NaN) - 1, `word ${nth}`);
    assert.ok(startMs <= endMs);
  });
  const [lastOfClip, next] = wordsOf(speech).slice(5);
  assert.ok((lastOfClip?.endMs ?? NaN) <= (next?.startMs ?? NaN));
});

Deno.test("a recording that is not to be had is spoken", async () => {
  const { say, asked } = setUp({ clips: [clipOf("Nine to five.", null)] });
  const speech = await say("Nine to five. Goodbye.");
  assert.equal(heard(speech), "Nine to five. Goodbye.");
  assert.deepEqual(asked.map(({ text }) => text.trim()), ["Nine to five.", "Goodbye."]);
});

Deno.test("clauses of a model go on in one synthesis, and a fixed sentence among them on its own", async () => {
  const { say, asked } = setUp({ fixed: new Set(["One moment, please."]) });
  const speech = await say("Yes, ", "of course.", "One moment, please.", "Here it is.");
  assert.equal(told(speech), "Yes, of course. One moment, please. Here it is.");
  assert.deepEqual(asked.map(({ text, isFixed }) => [text.trim(), isFixed]), [
    ["Yes, of course.", false],
    ["One moment, please.", true],
    ["Here it is.", false],
  ]);
});

Deno.test("a live clause is asked for before the text has ended", async () => {
  const { voice } = setUp({ fixed: new Set(["Hello."]) });
  const text = newAsyncQueue<string>(10);
  text.push("Hello.");
  text.push("What can I do?");
  let words = "";
  for await (const speech of voice.synthesize(text, OPTIONS, never())) {
    if (speech.type === "words") words += speech.words.map((word) => `${word.text} `).join("");
    if (words.includes("do?")) break;
  }
  assert.equal(words, "Hello. What can I do? ");
});

Deno.test("what the source throws, and an abort, end it", async () => {
  const { voice } = setUp({ clips: [clipOf("Hello.")] });
  async function* failing(): AsyncGenerator<string> {
    yield "Hello.";
    throw new Error("source failed");
  }
  await assert.rejects(
    Array.fromAsync(voice.synthesize(failing(), OPTIONS, never())),
    /source failed/,
  );
  const abort = new AbortController();
  const hanging = newAsyncQueue<string>(1);
  const reading = Array.fromAsync(voice.synthesize(hanging, OPTIONS, abort.signal));
  abort.abort(new Error("barge-in"));
  await assert.rejects(reading, /barge-in/);
});

for (
  const [piece, expected] of [
    ["A b c d", ["live:A", "clip:b c", "live:d"]],
    ["b c", ["clip:b c"]],
    ["b c b c", ["clip:b c", "clip:b c"]],
    ["b x", ["live:b x"]],
    ["  Fixed  one ", ["live:  Fixed  one "]],
    ["Fixed one", ["fixed:Fixed one"]],
    ["Fixed b c", ["fixed:Fixed", "clip:b c"]],
    ["longer b c e", ["live:longer", "clip:b c e"]],
    ["  ", []],
  ] as const
) {
  Deno.test(`"${piece}" is cut into ${JSON.stringify(expected)}`, () => {
    const clips = [clipOf("b c e"), clipOf("b c")];
    const fixed = new Set(["Fixed one", "Fixed b c"]);
    const segments = segmentsOf(piece, { fixed, clips });
    assert.deepEqual(segments.map(({ type, text }) => `${type}:${text}`), expected);
  });
}
