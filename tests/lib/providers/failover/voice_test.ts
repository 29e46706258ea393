/** Voices that break off or never begin: every word is said once, in order, with its time. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { failoverVoice } from "@/lib/providers/failover/voice.ts";
import type { Speech, TextToSpeech } from "@/lib/providers/tts/tts.ts";
import { LOST, WRONG_KEY } from "@/tests/support/faulty.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const WORD_MS = 100;

interface Break {
  /** Words that are said before it. */
  readonly words: number;
  readonly as: "lost" | "silent" | "refused";
}

/** The n-th synthesis of all voices breaks so; null, or past the end: not at all. */
function setUp(breaks: readonly (Break | null)[], count = 2) {
  const clock = manualClock();
  const breakers = newBreakers(clock);
  const asked: number[] = [];
  const voices = Array.from({ length: count }, (_, nth) => {
    const provider: TextToSpeech = {
      provider: `v${nth}`,
      async *synthesize(text, _options, signal) {
        const end = breaks[asked.length] ?? null;
        asked.push(nth);
        let said = 0;
        for await (const clause of text) {
          for (const word of clause.trim().split(/\s+/)) {
            if (end?.words === said) {
              if (end.as === "silent") await sleep(clock, 60_000, signal);
              throw end.as === "refused" ? WRONG_KEY : LOST;
            }
            const startMs = said++ * WORD_MS;
            yield {
              type: "words",
              words: [{ text: word, startMs, endMs: startMs + WORD_MS }],
            } satisfies Speech;
            await sleep(clock, 5, signal);
            yield { type: "audio", audio: new Uint8Array(WORD_MS * 8) };
          }
        }
      },
    };
    return { provider, breaker: breakers.of(`v${nth}`) };
  });
  const voice = failoverVoice({ clock, voices });

  async function say(...clauses: readonly string[]) {
    async function* text(): AsyncGenerator<string> {
      for (const clause of clauses) {
        yield clause;
        await sleep(clock, 20);
      }
    }
    const speech: Speech[] = [];
    let error: unknown = null;
    let failedAtMs: number | null = null;
    const done = (async () => {
      try {
        const { signal } = new AbortController();
        const options = { voice: null, language: "en" };
        for await (const piece of voice.synthesize(text(), options, signal)) speech.push(piece);
      } catch (thrown) {
        error = thrown;
        failedAtMs = clock.now();
      }
    })();
    for (let ms = 0; ms < 10_000; ms += 50) await clock.advance(50);
    await done;
    const words = speech.flatMap((it) => it.type === "words" ? it.words : []);
    const audioMs = speech.reduce(
      (ms, it) => ms + (it.type === "audio" ? it.audio.length / 8 : 0),
      0,
    );
    return { words, audioMs, error, failedAtMs, speech };
  }
  return { say, asked, clock };
}

Deno.test("a voice that works says all, and no other is asked", async () => {
  const { say, asked, clock } = setUp([]);
  const { words, audioMs } = await say("We are open ", "all day.");
  assert.deepEqual(words.map(({ text }) => text), ["We", "are", "open", "all", "day."]);
  assert.equal(audioMs, 500);
  assert.deepEqual(asked, [0]);
  assert.equal(clock.armed, 0);
});

Deno.test("where a voice breaks off, falls silent or is refused, the next says the rest", async () => {
  for (const as of ["lost", "silent", "refused"] as const) {
    const { say, asked } = setUp([{ words: 2, as }]);
    const { words, audioMs, error } = await say("We are open ", "all day.");
    assert.equal(error, null);
    assert.deepEqual(words.map(({ text }) => text), ["We", "are", "open", "all", "day."], as);
    assert.deepEqual(words.map(({ startMs }) => startMs), [0, 100, 200, 300, 400]);
    assert.equal(audioMs, 500);
    assert.deepEqual(asked, [0, 1]);
  }
});

Deno.test("a single voice is asked again", async () => {
  const { say, asked } = setUp([{ words: 0, as: "lost" }], 1);
  assert.equal((await say("We are open.")).words.length, 3);
  assert.deepEqual(asked, [0, 0]);
});

Deno.test("where no voice says a word that is known after 2 s, before the line is taken for dead", async () => {
  for (const count of [1, 2]) {
    const silent = { words: 0, as: "silent" } as const;
    const { say, asked } = setUp([silent, silent, silent], count);
    const { error, failedAtMs } = await say("We are open.");
    assert.ok(error instanceof AppError && !error.retryable, String(error));
    assert.ok(failedAtMs !== null && failedAtMs <= 2_300, `${failedAtMs} ms`);
    assert.deepEqual(asked, [0, count - 1]);
  }
});

Deno.test("a lone voice that begins each time and says no word to its end is known before the line is taken for dead", async () => {
  const clock = manualClock();
  const breaker = newBreakers(clock).of("v");
  let asked = 0;
  const provider: TextToSpeech = {
    provider: "v",
    async *synthesize(_text, _options, signal) {
      asked++;
      yield { type: "audio", audio: new Uint8Array(2_400) };
      await sleep(clock, 60_000, signal);
    },
  };
  const voice = failoverVoice({ clock, voices: [{ provider, breaker }] });
  async function* text(): AsyncGenerator<string> {
    yield "We are open.";
  }
  const { signal } = new AbortController();
  const failed = Array.fromAsync(voice.synthesize(text(), { voice: null, language: "en" }, signal))
    .then(() => ({ at: NaN, error: null }), (error: unknown) => ({ at: clock.now(), error }));
  for (let ms = 0; ms < 5_000; ms += 50) await clock.advance(50);
  const { at, error } = await failed;
  assert.ok(error instanceof AppError && !error.retryable, String(error));
  assert.ok(at <= 2_700, `${at} ms`);
  assert.equal(asked, 2);
});

Deno.test("a voice that makes noise without end is cut off, and another says the text", async () => {
  const clock = manualClock();
  async function* text(): AsyncGenerator<string> {
    yield "We are open.";
  }
  async function* noise(): AsyncGenerator<Speech> {
    for (;;) yield { type: "audio", audio: new Uint8Array(8_000) };
  }
  const { asked, words } = await hearOf(text, clock, noise, working(clock));
  assert.deepEqual(asked.map(([nth]) => nth), [0, 1]);
  assert.deepEqual(words, ["We", "are", "open."]);
});

Deno.test("a voice that all have lost is told as a failure, behind what was said", async () => {
  const lost = { words: 1, as: "lost" } as const;
  const { words, error } = await setUp([lost, lost, lost]).say("We are open all day.");
  assert.equal(error, LOST);
  assert.deepEqual(words.map(({ text }) => text), ["We", "are", "open"]);
});

Deno.test("however voices break, words come once and in order, each before its sound is over", async () => {
  const broken = fc.option(fc.record({
    words: fc.nat(6),
    as: fc.constantFrom("lost" as const, "silent" as const),
  }));
  const clause = fc.array(fc.constantFrom("one", "two", "three,"), { minLength: 1, maxLength: 4 })
    .map((words) => `${words.join(" ")} `);
  await fc.assert(
    fc.asyncProperty(
      fc.array(broken, { maxLength: 2 }),
      fc.array(clause, { minLength: 1, maxLength: 3 }),
      async (breaks, clauses) => {
        const { words, speech, error } = await setUp(breaks).say(...clauses);
        assert.equal(error, null);
        assert.equal(words.map(({ text }) => text).join(" "), clauses.join("").trim());
        let audioMs = 0;
        for (const piece of speech) {
          if (piece.type === "audio") audioMs += piece.audio.length / 8;
          else for (const { endMs } of piece.words) assert.ok(endMs > audioMs);
        }
      },
    ),
    { numRuns: 60, seed: 4 },
  );
});

/** Voices as given, by what each does with its text. */
async function hearOf(
  text: () => AsyncGenerator<string>,
  clock: ReturnType<typeof manualClock>,
  ...voices: readonly TextToSpeech["synthesize"][]
) {
  const breakers = newBreakers(clock);
  const asked: [nth: number, voice: string | null][] = [];
  const voice = failoverVoice({
    clock,
    voices: voices.map((synthesize, nth) => ({
      provider: {
        provider: `v${nth}`,
        synthesize(text, options, signal) {
          asked.push([nth, options.voice]);
          return synthesize(text, options, signal);
        },
      },
      breaker: breakers.of(`v${nth}`),
    })),
  });
  const words: string[] = [];
  const options = { voice: "ada", language: "en" };
  const done = (async () => {
    const { signal } = new AbortController();
    for await (const piece of voice.synthesize(text(), options, signal)) {
      if (piece.type === "words") words.push(...piece.words.map(({ text }) => text));
    }
  })();
  await clock.advance(30_000);
  await done;
  return { asked, words, breakers };
}

const working = (clock: ReturnType<typeof manualClock>): TextToSpeech["synthesize"] =>
  async function* (text, _options, signal) {
    let atMs = 0;
    for await (const clause of text) {
      await sleep(clock, 200, signal);
      for (const word of clause.trim().split(/\s+/)) {
        yield { type: "words", words: [{ text: word, startMs: atMs, endMs: atMs += WORD_MS }] };
        yield { type: "audio", audio: new Uint8Array(WORD_MS * 8) };
      }
    }
  };

Deno.test("a voice is not hurried by words that come late", async () => {
  const clock = manualClock();
  async function* late(): AsyncGenerator<string> {
    await sleep(clock, 950);
    yield "We are ";
    await sleep(clock, 2_950);
    yield "open.";
  }
  const { asked, words } = await hearOf(late, clock, working(clock), working(clock));
  assert.deepEqual(asked, [[0, "ada"]]);
  assert.deepEqual(words, ["We", "are", "open."]);
});

Deno.test("a voice that trickles, or tells words and gives no sound, is gone on for by another in a voice of its own", async () => {
  const trickles = (clock: ReturnType<typeof manualClock>): TextToSpeech["synthesize"] =>
    async function* (_text, _options, signal) {
      for (;;) {
        await sleep(clock, 900, signal);
        yield { type: "audio", audio: new Uint8Array(1) };
      }
    };
  const hangs = (clock: ReturnType<typeof manualClock>): TextToSpeech["synthesize"] =>
    async function* (_text, _options, signal) {
      yield { type: "words", words: [{ text: "We", startMs: 0, endMs: 100 }] };
      yield { type: "words", words: [{ text: "are", startMs: 100, endMs: 200 }] };
      yield { type: "audio", audio: new Uint8Array(80) };
      await sleep(clock, 60_000, signal);
    };
  for (const broken of [trickles, hangs]) {
    const clock = manualClock();
    const text = async function* (): AsyncGenerator<string> {
      yield "We are open.";
    };
    const { asked, words } = await hearOf(text, clock, broken(clock), working(clock));
    assert.deepEqual(asked, [[0, "ada"], [1, null]]);
    assert.deepEqual(words, ["We", "are", "open."]);
  }
});
