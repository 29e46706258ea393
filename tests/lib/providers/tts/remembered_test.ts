/** Fixed texts are asked for once: what was said of them is said again, and of nothing else. */

import assert from "node:assert/strict";
import { newByteCache } from "@/lib/byte_cache.ts";
import { newSpeechMemory, remembered } from "@/lib/providers/tts/remembered.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { holdVoice, type SynthesisOptions, type TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { never, readAll } from "@/tests/support/contract_provider.ts";
import { audioOf } from "@/tests/support/contract_tts.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const FIXED: SynthesisOptions = { voice: null, language: "en", isFixed: true };

function setUp() {
  const simulated = simulatedTts({ clock: manualClock(), firstByteMs: 0, realTimeFactor: 0 });
  const asked: string[] = [];
  const provider: TextToSpeech = {
    provider: "test",
    async *synthesize(text, options, signal) {
      const pieces = await Array.fromAsync(text);
      asked.push(pieces.join(""));
      yield* simulated.synthesize(each(...pieces), options, signal);
      if (pieces.join("").includes("fails")) throw new Error("it broke off");
    },
  };
  const memory = newSpeechMemory();
  const named = (name: string) => remembered(provider, { memory, name });
  return { asked, named, memory, voice: named("a") };
}

async function* each(...pieces: readonly string[]): AsyncGenerator<string> {
  yield* pieces;
}

function say(voice: TextToSpeech, text: string, options = FIXED) {
  return Array.fromAsync(voice.synthesize(each(text), options, never()));
}

Deno.test("a fixed text is asked for once, and is the same speech again, words and all", async () => {
  const { asked, voice } = setUp();
  const first = await say(voice, "One moment, please.");
  assert.ok(audioOf(first).length > 0);
  assert.deepEqual(await say(voice, "One moment, please."), first);
  assert.deepEqual(await say(holdVoice(voice, FIXED), "One moment, please."), first);
  assert.deepEqual(asked, ["One moment, please."]);
});

Deno.test("another voice, pace, language, provider or text is asked for on its own", async () => {
  const { asked, voice, named } = setUp();
  await say(voice, "Hi.");
  await say(voice, "Hi.", { ...FIXED, voice: "b" });
  await say(voice, "Hi.", { ...FIXED, speed: 0.9 });
  await say(voice, "Hi.", { ...FIXED, language: "de" });
  await say(named("b"), "Hi.");
  await say(voice, "Hi there.");
  assert.equal(asked.length, 6);
  await say(voice, "Hi.", { ...FIXED, speed: 1 }); // the voice's own
  assert.equal(asked.length, 6);
});

Deno.test("a text that is not fixed is never kept, nor one that broke off or was cut off", async () => {
  const { asked, voice, memory } = setUp();
  await say(voice, "Your code is 1234.", { voice: null, language: "en" });
  await readAll(voice.synthesize(each("It fails."), FIXED, never()));
  for await (const _ of voice.synthesize(each("Cut off here."), FIXED, never())) break;
  assert.equal(memory.count, 0);
  assert.equal(asked.length, 3);
});

Deno.test("what was used longest ago makes room, and what is too large is not kept", () => {
  const cache = newByteCache<string>({ maxBytes: 100, entryMaxBytes: 60 });
  cache.put("a", "A", 40);
  cache.put("b", "B", 40);
  assert.equal(cache.get("a"), "A");
  cache.put("c", "C", 40); // b is the oldest now
  assert.deepEqual([cache.get("a"), cache.get("b"), cache.get("c")], ["A", null, "C"]);
  cache.put("d", "D", 61);
  cache.put("a", "A2", 60);
  assert.deepEqual([cache.get("d"), cache.get("a"), cache.get("c")], [null, "A2", "C"]);
  assert.equal(cache.bytes, 100);
  cache.delete("a");
  assert.deepEqual([cache.bytes, cache.count], [40, 1]);
});
