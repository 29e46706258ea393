/** What every recogniser must do, run by the test of each: their providers hear the tones of lib/audio/modem. */

import assert from "node:assert/strict";
import { SILENCE } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { Recognition, SpeechToText } from "@/lib/providers/stt/stt.ts";
import {
  never,
  type Streaming,
  testFaults,
  testProvider,
  testStreaming,
} from "./contract_provider.ts";

const OPTIONS = { language: "en", keyterms: ["Brightsmile"], endpointingMs: 300 } as const;
const FRAME_BYTES = 160;

const silence = (ms: number) => new Uint8Array(ms * 8).fill(SILENCE);

/** The parts as one stretch of audio, in frames. */
export async function* line(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  const audio = Uint8Array.from(parts.flatMap((part) => [...part]));
  for (let at = 0; at < audio.length; at += FRAME_BYTES) yield audio.subarray(at, at + FRAME_BYTES);
}

async function* thenHanging(audio: AsyncIterable<Uint8Array>) {
  yield* audio;
  await new Promise(() => {});
}

/** A line that is silent after `audio`, a frame each 20 ms. */
function thenSilent(audio: Uint8Array, clock: Clock): AsyncIterable<Uint8Array> {
  const frames = line(audio);
  let cancel: Cancel = () => {};
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const next = await frames.next();
        if (!next.done) return next;
        await new Promise<void>((resolve) => cancel = clock.timer(20, resolve));
        return { done: false, value: silence(20) };
      },
      return() {
        cancel();
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
}

async function* thenFailing(audio: AsyncIterable<Uint8Array>) {
  yield* audio;
  throw new Error("source failed");
}

export function testSpeechToText(name: string, make: () => Promise<Streaming<SpeechToText>>): void {
  function test(
    sentence: string,
    audio: () => AsyncIterable<Uint8Array>,
    check: (recognitions: readonly Recognition[]) => void,
  ): void {
    testStreaming(`${name} ${sentence}`, make, async ({ adapter }) => {
      check(await Array.fromAsync(adapter.transcribe(audio(), OPTIONS, never())));
    });
  }

  const text = "I would like an appointment on Friday at ten.";
  const { audio, words } = speak(text);
  const leadMs = 400;

  test(
    "tells when speech starts, what it is, when it ends, in this order",
    () => line(silence(leadMs), audio, silence(1_500)),
    (recognitions) => {
      const types = recognitions.map(({ type }) => type);
      assert.equal(types[0], "speechStarted");
      assert.ok(types.includes("interim"));
      assert.deepEqual(types.slice(-2), ["final", "utteranceEnded"]);
      assert.equal(textOf(recognitions), text);
      assert.equal(count(recognitions, "speechStarted"), 1);
      assert.equal(count(recognitions, "utteranceEnded"), 1);
    },
  );

  test(
    "counts times in the audio it was given",
    () => line(silence(leadMs), audio, silence(1_500)),
    (recognitions) => {
      const startMs = leadMs + (words[0]?.startMs ?? 0);
      const endMs = leadMs + (words.at(-1)?.endMs ?? 0);
      for (const recognition of recognitions) {
        if (recognition.type === "speechStarted") isAbout(recognition.atMs, startMs);
        if (recognition.type === "utteranceEnded") isAbout(recognition.lastWordEndMs, endMs);
      }
      const finals = recognitions.filter((recognition) => recognition.type === "final");
      isAbout(finals[0]?.startMs, startMs);
      isAbout(finals.at(-1)?.endMs, endMs);
      for (const { confidence } of finals) assert.ok(confidence > 0.5 && confidence <= 1);
    },
  );

  test(
    "grows an interim, and each contains the one before",
    () => line(audio, silence(1_500)),
    (recognitions) => {
      const interims = recognitions.filter(({ type }) => type === "interim");
      const texts = interims.map((interim) => "text" in interim ? interim.text : "");
      assert.ok(texts.length > 2);
      for (const [i, next] of texts.slice(1).entries()) assert.ok(next.startsWith(texts[i] ?? ""));
    },
  );

  test(
    "tells two utterances apart",
    () => line(speak("Yes.").audio, silence(2_000), speak("No.").audio, silence(2_000)),
    (recognitions) => {
      const told = recognitions.filter(({ type }) => type !== "interim");
      assert.deepEqual(told.map(({ type }) => type), [
        ...["speechStarted", "final", "utteranceEnded"],
        ...["speechStarted", "final", "utteranceEnded"],
      ]);
      assert.equal(textOf(recognitions), "Yes. No.");
    },
  );

  test(
    "says what was said when the audio ends in mid-utterance",
    () => line(audio),
    (recognitions) => {
      assert.equal(textOf(recognitions), text);
      assert.equal(recognitions.at(-1)?.type, "utteranceEnded");
    },
  );

  test("hears a long utterance to its last word", () => line(long.audio, silence(1_500)), (all) => {
    assert.equal(textOf(all), LONG);
    assert.equal(count(all, "speechStarted"), 1);
    assert.equal(count(all, "utteranceEnded"), 1);
  });

  test("has nothing to say of silence", () => line(silence(4_000)), (recognitions) => {
    assert.deepEqual(recognitions, []);
  });

  test("has nothing to say of no audio", () => line(), (recognitions) => {
    assert.deepEqual(recognitions, []);
  });

  testProvider(
    name,
    make,
    (stt, signal) => stt.transcribe(thenHanging(line(audio)), OPTIONS, signal),
    (stt, signal) => stt.transcribe(thenFailing(line(audio)), OPTIONS, signal),
  );
}

export function testSpeechToTextFaults(
  name: string,
  make: () => Promise<Streaming<SpeechToText>>,
): void {
  const { audio } = speak("I would like an appointment.");
  testFaults(
    name,
    make,
    (stt, signal, clock) => stt.transcribe(thenSilent(audio, clock), OPTIONS, signal),
  );
}

const LONG = Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ");
const long = speak(LONG);

function textOf(recognitions: readonly Recognition[]): string {
  return recognitions.flatMap((part) => part.type === "final" ? [part.text] : []).join(" ");
}

function count(recognitions: readonly Recognition[], type: Recognition["type"]): number {
  return recognitions.filter((recognition) => recognition.type === type).length;
}

/** Providers round. */
function isAbout(actual: number | undefined, expected: number): void {
  assert.ok(actual !== undefined && Math.abs(actual - expected) <= 1, `${actual}, not ${expected}`);
}
