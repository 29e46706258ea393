/** Recognisers that drop: no word is lost that was said meanwhile, and none is told twice. */

import assert from "node:assert/strict";
import { newAsyncQueue } from "@/lib/async_queue.ts";
import { FRAME_BYTES } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { AppError } from "@/lib/errors.ts";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { failoverRecogniser } from "@/lib/providers/failover/recogniser.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import type { Recognition } from "@/lib/providers/stt/stt.ts";
import { type Fault, faultyStt, LOST, WRONG_KEY } from "@/tests/support/faulty.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const OPTIONS = { language: "en", keyterms: [], endpointingMs: 400 };

/** A caller says these lines with a second between them; sessions break by the clock. */
async function listen(
  lines: readonly string[],
  faults: readonly (readonly Fault[])[],
): Promise<{ finals: Recognition[]; lost: number; error: unknown; armed: number }> {
  const clock = manualClock();
  const breakers = newBreakers(clock);
  const recogniser = failoverRecogniser({
    clock,
    recognisers: faults.map((each, nth) => ({
      provider: faultyStt(simulatedStt({ clock }), clock, each),
      breaker: breakers.of(`r${nth}`),
    })),
  });
  const audio = newAsyncQueue<Uint8Array>(10_000);
  const finals: Recognition[] = [];
  let lost = 0;
  let error: unknown = null;
  const done = (async () => {
    try {
      const { signal } = new AbortController();
      for await (const it of recogniser.transcribe(audio, OPTIONS, signal)) {
        if (it.type === "final") finals.push(it);
        if (it.type === "lost") lost++;
      }
    } catch (thrown) {
      error = thrown;
    }
  })();
  const sound = lines.flatMap((
    line,
  ) => [...speak(line).audio, ...new Uint8Array(8_000).fill(0xff)]);
  for (let at = 0; at + FRAME_BYTES <= sound.length; at += FRAME_BYTES) {
    audio.push(Uint8Array.from(sound.slice(at, at + FRAME_BYTES)));
    await clock.advance(20);
  }
  audio.end();
  await clock.advance(5_000);
  await done;
  return { finals, lost, error, armed: clock.armed };
}

const LINES = ["I have a toothache.", "On Monday please.", "Thank you so much."];
const text = (finals: readonly Recognition[]): string =>
  finals.map((it) => it.type === "final" ? it.text : "").join(" ");

Deno.test("a recogniser that drops between utterances is replaced, and nobody notices", async () => {
  const { finals, error, armed } = await listen(LINES, [[{ afterMs: 2_600, error: LOST }]]);
  assert.equal(error, null);
  assert.equal(text(finals), LINES.join(" "));
  assert.equal(armed, 0);
});

Deno.test("times go on over all sessions", async () => {
  const whole = await listen(LINES, [[]]);
  const broken = await listen(LINES, [[{ afterMs: 2_600, error: LOST }]]);
  const ends = (finals: readonly Recognition[]): number[] =>
    finals.map((it) => it.type === "final" ? it.endMs : 0);
  assert.deepEqual(ends(broken.finals), ends(whole.finals));
});

Deno.test("wherever it drops, no word is told twice, and what was told stays", async () => {
  for (let afterMs = 200; afterMs < 6_000; afterMs += 370) {
    const { finals, error } = await listen(LINES, [[{ afterMs, error: LOST }], []]);
    assert.equal(error, null);
    const words = text(finals).split(" ");
    assert.equal(new Set(words).size, words.length, `${afterMs}: ${words}`);
    assert.ok(words.length >= 9, `${afterMs}: ${words}`); // of ten; one may have been cut through
  }
});

Deno.test("another recogniser takes over where a key is refused", async () => {
  const { finals, error } = await listen(LINES, [[{ afterMs: 0, error: WRONG_KEY }], []]);
  assert.equal(error, null);
  assert.equal(text(finals), LINES.join(" "));
});

Deno.test("one that drops again and again is given up on for good, after eight seconds", async () => {
  const drops = Array(40).fill({ afterMs: 100, error: LOST });
  const { error } = await listen([...LINES, ...LINES, ...LINES], [drops]);
  assert.ok(error instanceof AppError && !error.retryable, String(error));
  assert.equal(error.cause, LOST);
});

Deno.test("a lone recogniser that is lost is told of, and one that another stands in for is not", async () => {
  for (const count of [1, 2]) {
    const faults = [[{ afterMs: 2_600, error: LOST }], []].slice(0, count);
    const { lost, finals } = await listen(LINES, faults);
    assert.equal(lost, 2 - count);
    assert.equal(text(finals), LINES.join(" "));
  }
});

Deno.test("a breaker that drops have opened closes with the first word that is recognised again", async () => {
  const clock = manualClock();
  const breakers = newBreakers(clock);
  const breaker = breakers.of("r");
  for (let nth = 0; nth < 5; nth++) breaker.failed();
  const recogniser = failoverRecogniser({
    clock,
    recognisers: [{ provider: simulatedStt({ clock }), breaker }],
  });
  const audio = newAsyncQueue<Uint8Array>(10_000);
  const caller = new AbortController();
  const heard: string[] = [];
  const done = (async () => {
    for await (const it of recogniser.transcribe(audio, OPTIONS, caller.signal)) {
      heard.push(it.type);
    }
  })().catch(() => {});
  const sound = [...speak("Hello there.").audio, ...new Uint8Array(8_000).fill(0xff)];
  await clock.advance(2_500); // alone, it is waited for
  for (let at = 0; at + FRAME_BYTES <= sound.length; at += FRAME_BYTES) {
    audio.push(Uint8Array.from(sound.slice(at, at + FRAME_BYTES)));
    await clock.advance(20);
  }
  assert.ok(heard.includes("final"));
  assert.equal(breakers.view()[0]?.phase, "closed");
  caller.abort(); // as most sessions end
  await clock.advance(100);
  await done;
  assert.equal(breakers.view()[0]?.phase, "closed");
});
