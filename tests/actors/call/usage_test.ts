/** What a call has used of its providers: counted on the way to them, kept over machines, and stored with its end. */

import assert from "node:assert/strict";
import { newUsageMeter } from "@/actors/call/usage.ts";
import { drain, newAsyncQueue } from "@/lib/async_queue.ts";
import { addUsage, type CallUsage, NO_USAGE } from "@/lib/conversation/usage.ts";
import type { LanguageModel, ModelDelta, Prompt } from "@/lib/providers/llm/llm.ts";
import type { SpeechToText } from "@/lib/providers/stt/stt.ts";
import type { TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { rebuild } from "@/actors/call/rebuild.ts";
import { callKit } from "@/tests/support/call_kit.ts";

const { signal } = new AbortController();
const PROMPT: Prompt = {
  ...{ system: "Be kind.", tools: [], maxTokens: 10, temperature: 0 }, // two tokens by the rule of thumb
  messages: [], // and one
};
const OPTIONS = { language: "en", voice: null };

function saying(provider: string, deltas: readonly ModelDelta[]): LanguageModel {
  return {
    provider,
    async *respond() {
      for (const delta of deltas) yield await Promise.resolve(delta);
    },
  };
}

function tokens(model: string, requests: number, inputTokens: number, outputTokens: number) {
  const sound = { inputAudioTokens: 0, outputAudioTokens: 0 };
  return { model, requests, inputTokens, outputTokens, ...sound };
}

Deno.test("tokens are counted by model, as they are told; of one without a name by its provider", async () => {
  const meter = newUsageMeter();
  const told: number[] = [];
  const usage = { type: "usage", inputTokens: 100, outputTokens: 7 } as const;
  const big = meter.model(
    saying("openai", [{ type: "text", text: "Yes." }, { ...usage, model: "gpt-4.1" }]),
    ({ inputTokens }) => told.push(inputTokens),
  );
  for (let nth = 0; nth < 2; nth++) await Array.fromAsync(big.respond(PROMPT, signal));
  const own = meter.model(saying("simulated", [usage]), () => {});
  await Array.fromAsync(own.respond(PROMPT, signal));
  assert.deepEqual(meter.read(), {
    ...NO_USAGE,
    models: [tokens("gpt-4.1", 2, 200, 14), tokens("simulated", 1, 100, 7)],
  });
  assert.deepEqual(told, [100, 100]);
});

Deno.test("a request that is broken off is reckoned, from when it is made", async () => {
  const meter = newUsageMeter();
  const model = meter.model(
    saying("openai", [{ type: "text", text: "12345678" }, { type: "text", text: "never" }]),
    () => {},
  );
  const answer = model.respond(PROMPT, signal)[Symbol.asyncIterator]();
  assert.deepEqual(meter.read(), NO_USAGE);
  await answer.next();
  const brokenOff = { requests: 1, tokens: 2 + 1 + 2 };
  assert.deepEqual(meter.read(), { ...NO_USAGE, brokenOff }, "while it is under way");
  await answer.return?.();
  assert.deepEqual(meter.read(), { ...NO_USAGE, brokenOff }, "and once it is over");
});

Deno.test("characters and audio are counted as they are given, held or not, and pass unchanged", async () => {
  const meter = newUsageMeter();
  const spoken: string[] = [];
  let released = 0;
  const plain: TextToSpeech = {
    provider: "aura",
    async *synthesize(text) {
      for await (const piece of text) {
        spoken.push(piece);
        yield { type: "words", words: [] };
      }
    },
  };
  const voice = meter.voice({ ...plain, hold: () => ({ ...plain, release: () => released++ }) });
  const text = newAsyncQueue<string>(10);
  for (const piece of ["Good ", "day."]) text.push(piece);
  text.end();
  await Array.fromAsync(voice.synthesize(text, OPTIONS, signal));
  const held = voice.hold?.(OPTIONS);
  const more = newAsyncQueue<string>(10);
  more.push("Bye.");
  more.end();
  await Array.fromAsync(held?.synthesize(more, OPTIONS, signal) ?? []);
  held?.release();
  assert.deepEqual([spoken, released], [["Good ", "day.", "Bye."], 1]);

  const heard: number[] = [];
  const ear: SpeechToText = {
    provider: "nova",
    async *transcribe(audio) {
      drain(audio, {
        take: ({ length }) => void heard.push(length),
        ended() {},
        failed: assert.fail,
      });
      yield await Promise.resolve({ type: "lost" } as const);
    },
  };
  const audio = newAsyncQueue<Uint8Array>(10);
  const options = { language: "en", keyterms: [], endpointingMs: 400 };
  await Array.fromAsync(meter.recogniser(ear).transcribe(audio, options, signal));
  await Promise.resolve();
  for (const bytes of [160, 320]) audio.push(new Uint8Array(bytes));
  assert.deepEqual(heard, [160, 320], "within its push");
  assert.deepEqual(meter.read(), {
    ...NO_USAGE,
    voices: [{ provider: "aura", characters: 13 }],
    recognisers: [{ provider: "nova", ms: 60 }],
  });
});

Deno.test("the end of a call is stored with all that it has used, on machines before as well", async () => {
  const here: CallUsage = { ...NO_USAGE, models: [tokens("a", 1, 10, 2)] };
  const before: CallUsage = {
    ...NO_USAGE,
    models: [tokens("a", 2, 5, 1), tokens("b", 1, 1, 1)],
    wasted: { replies: 1, tokens: 40 },
  };
  const first = callKit({ deps: { used: () => here } });
  await first.connect();
  first.call.send({ type: "hangUp" });
  await first.kit.clock.advance(5_000);
  assert.deepEqual(first.ends.map(({ usage }) => usage), [here]);
  await first.close();

  const events = [
    { type: "call_started", direction: "inbound" },
    { type: "leg_started", epoch: 1 },
    { type: "usage_counted", usage: before },
    { type: "leg_lost", epoch: 1 },
  ] as const;
  const history = { events, answeredAt: new Date(0), lastAt: new Date(0) };
  const next = callKit({
    after: "handedOver",
    deps: { used: () => here, history: () => Promise.resolve(history) },
  });
  await next.connect();
  next.call.send({ type: "hangUp" });
  await next.kit.clock.advance(5_000);
  assert.deepEqual(next.ends.map(({ usage }) => usage), [{
    ...NO_USAGE,
    models: [tokens("a", 3, 15, 3), tokens("b", 1, 1, 1)],
    wasted: { replies: 1, tokens: 40 },
  }]);
  await next.close();
  assert.deepEqual(rebuild(events, parseGraph(demoAgent)).usage, before);
  assert.deepEqual(addUsage(before, NO_USAGE), before);
});
