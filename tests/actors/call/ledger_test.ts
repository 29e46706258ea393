/** The ledger: what it takes as heard against what a simulated carrier has played. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { BYTES_PER_MS, FRAME_MS } from "@/lib/audio/frame.ts";
import {
  cutUtterance,
  heardOf,
  type MarkArrival,
  markName,
  type MarkPlace,
  newUtterance,
  parseMark,
  placeWords,
  settle,
  START_MARK_BYTE,
  takeMark,
  type Utterance,
} from "@/actors/call/ledger.ts";

/** How an utterance goes: all that chance decides. Milliseconds, but for the words. */
interface History {
  /** Bytes of each word. */
  readonly words: readonly number[];
  /** The carrier runs dry before a word, for so long. */
  readonly underrun: { readonly before: number; readonly ms: number } | null;
  /** A `clear` is sent so long after the first frame was. */
  readonly cutAfter: number;
  readonly thereMs: number;
  readonly backMs: number;
  /** Of each mark on its way back, order kept; and of the `clear`. Never more than `jitterMs`. */
  readonly jitter: () => number;
  readonly jitterMs: number;
}

const SENT_AT = 1_000.25;
const LEAD_MS = 300;

/** Plays a history, and tells the ledger of its marks as they come in. */
function play(history: History) {
  const { words, underrun, thereMs, backMs, jitter } = history;
  const cutAt = SENT_AT + history.cutAfter;
  const clearedAt = cutAt + thereMs + jitter();
  const arrivedAt = SENT_AT + thereMs;
  const playsFrom = Math.ceil(arrivedAt * BYTES_PER_MS) / BYTES_PER_MS; // on whole samples

  const marks: { place: MarkPlace; playedAt: number }[] = [
    { place: { type: "start" }, playedAt: playsFrom + START_MARK_BYTE / BYTES_PER_MS },
  ];
  const placed: { text: string; endByte: number }[] = [];
  let endByte = 0;
  let lateMs = 0;
  words.forEach((bytes, index) => {
    endByte += bytes;
    if (underrun?.before === index) lateMs = underrun.ms;
    placed.push({ text: `word${index}`, endByte });
    const playedAt = playsFrom + endByte / BYTES_PER_MS + lateMs;
    const isSent = endByte / BYTES_PER_MS + lateMs - LEAD_MS <= history.cutAfter;
    if (isSent) marks.push({ place: { type: "word", index }, playedAt });
  });

  let line = 0; // messages come in in their order
  const back = (sentAt: number): number => line = Math.max(line, sentAt + backMs + jitter());
  // A mark of the very instant of the cut came in before it, unless it is the clear that returned it.
  const comeBack = (place: MarkPlace, sentAt: number, isDropped: boolean) => ({
    place,
    isDropped,
    at: back(sentAt),
    frames: Math.floor(sentAt / FRAME_MS), // caller audio that the carrier sent before it
    jitterMs: history.jitterMs,
  });
  const arrivals = marks.map(({ place, playedAt }) =>
    comeBack(place, Math.min(playedAt, Math.max(clearedAt, arrivedAt)), playedAt > clearedAt)
  );
  arrivals.push(comeBack({ type: "cut" }, clearedAt, true));

  let utterance = placeWords(newUtterance(1, 1), placed);
  for (const { place, isDropped, ...arrival } of arrivals) {
    if (arrival.at > cutAt || isDropped) utterance = cutUtterance(utterance, cutAt);
    utterance = takeMark(utterance, place, arrival);
  }
  const endedBy = (instant: number): number =>
    marks.filter(({ place, playedAt }) => place.type === "word" && playedAt <= instant).length;
  return {
    utterance,
    heard: utterance.heardCount,
    playedBeforeClear: endedBy(cutAt),
    played: endedBy(clearedAt + 2e-6), // fractions do not add up exactly
    toldBeforeClear:
      arrivals.filter(({ place, at, isDropped }) =>
        place.type === "word" && at < cutAt && !isDropped
      ).length,
  };
}

const ms = fc.double({ min: 0, max: 80, noNaN: true });
const words = fc.array(fc.integer({ min: 200, max: 8_000 }), { minLength: 1, maxLength: 15 });
const steady = { underrun: null, jitter: () => 0, jitterMs: 0 };
const RUNS = { seed: 5, numRuns: 3_000 };

/** A cut at any instant, or on the very end of a word. */
function cutOf(lengths: readonly number[]): fc.Arbitrary<number> {
  const ends = lengths.map((_, at) =>
    lengths.slice(0, at + 1).reduce((sum, bytes) => sum + bytes, 0) / BYTES_PER_MS
  );
  return fc.oneof(
    fc.double({ min: 0, max: (ends.at(-1) ?? 0) + 200, noNaN: true }),
    fc.constantFrom(...ends),
  );
}

const cutWords = words.chain((lengths) =>
  fc.record({ words: fc.constant(lengths), cutAfter: cutOf(lengths) })
);
const underruns = fc.record({
  before: fc.integer({ min: 0, max: 14 }),
  ms: fc.double({ min: 1, max: 2_000, noNaN: true }),
});

/** Delays of a line that is never twice the same. */
function jitterOf(seed: number, maxMs: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * maxMs;
  };
}

Deno.test("the ledger counts to the word what has played when there is no delay", () => {
  fc.assert(
    fc.property(cutWords, (cut) => {
      const { heard, played } = play({ ...steady, ...cut, thereMs: 0, backMs: 0 });
      assert.equal(heard, played);
    }),
    RUNS,
  );
});

/** A mark of the very instant at which the carrier clears cannot be told from a dropped one. */
const someMs = fc.double({ min: 0.01, max: 80, noNaN: true });

Deno.test("the ledger counts all that had played when the clear was sent, and nothing that the clear dropped", () => {
  fc.assert(
    fc.property(cutWords, someMs, ms, (cut, thereMs, backMs) => {
      const { heard, playedBeforeClear, played } = play({ ...steady, ...cut, thereMs, backMs });
      assert.ok(heard <= played, `${heard} of ${played}`);
      assert.ok(heard >= playedBeforeClear, `${heard} of ${playedBeforeClear}`);
    }),
    RUNS,
  );
});

Deno.test("the ledger counts nothing extra when the carrier ran dry, and all marks that came before the clear", () => {
  fc.assert(
    fc.property(cutWords, ms, ms, underruns, (cut, thereMs, backMs, underrun) => {
      const history = { ...steady, ...cut, underrun, thereMs, backMs };
      const { heard, played, toldBeforeClear } = play(history);
      assert.ok(heard <= played, `${heard} of ${played}`);
      assert.ok(heard >= toldBeforeClear);
    }),
    RUNS,
  );
});

Deno.test("the ledger counts nothing extra on a line whose delay jitters", () => {
  fc.assert(
    fc.property(
      cutWords,
      fc.integer(),
      fc.integer({ min: 1, max: 160 }),
      fc.option(underruns),
      (cut, seed, jitterMs, underrun) => {
        const jitter = jitterOf(seed, jitterMs);
        const history = { ...cut, underrun, thereMs: 10, backMs: 10, jitter, jitterMs };
        const { heard, played, toldBeforeClear } = play(history);
        assert.ok(heard <= played, `${heard} of ${played}`);
        assert.ok(heard >= toldBeforeClear);
      },
    ),
    { ...RUNS, numRuns: 20_000 },
  );
});

Deno.test("of marks that come back after the clear, the ledger counts those that cannot have been dropped", () => {
  const cut = cutUtterance(spoken(), 490);
  const late = (index: number, at: number, frames: number) => ({
    place: { type: "word", index } as const,
    arrival: { at, frames, jitterMs: 30 },
  });
  const last = { at: 540, frames: 27, jitterMs: 30 };
  const rows: [ReturnType<typeof late>, string][] = [
    [late(0, 539, 26), "one"], // caller audio came between
    [late(0, 509, 27), "one"], // sooner than the line varies
    [late(0, 511, 27), ""], // the line may have held the other back
    [late(9, 500, 20), ""], // no word of it
  ];
  for (const [{ place, arrival }, heard] of rows) {
    const told = takeMark(cut, place, arrival);
    assert.equal(heardOf(told), "", "nothing is counted before all is known");
    assert.equal(heardOf(takeMark(told, { type: "cut" }, last)), heard);
  }
});

const NAMES: readonly [string, MarkPlace][] = [
  ["7:start", { type: "start" }],
  ["7:w0", { type: "word", index: 0 }],
  ["7:w120", { type: "word", index: 120 }],
  ["7:end", { type: "end" }],
  ["7:cut", { type: "cut" }],
];

Deno.test("a mark's name says its utterance and its place", () => {
  for (const [name, place] of NAMES) {
    assert.equal(markName(7, place), name);
    assert.deepEqual(parseMark(name), { generation: 7, place });
  }
});

Deno.test("a mark's name that is none of ours is no mark", () => {
  for (
    const name of ["", "7", "7:", "7:w", "7:wx", "x:start", "7:start ", "7:w1234567", "-1:end"]
  ) {
    assert.equal(parseMark(name), null, name);
  }
});

/** A mark that came in on a quiet line. */
function came(at: number): MarkArrival {
  return { at, frames: 0, jitterMs: 0 };
}

function spoken(): Utterance {
  return placeWords(newUtterance(1, 1), [
    { text: "one", endByte: 800 },
    { text: "two", endByte: 1_600 },
    { text: "three", endByte: 2_400 },
  ]);
}

Deno.test("the ledger takes marks twice, late and of words it does not know without harm", () => {
  let utterance = takeMark(spoken(), { type: "word", index: 1 }, came(200)); // the mark before it was lost
  assert.equal(heardOf(utterance), "one two");
  utterance = takeMark(utterance, { type: "word", index: 0 }, came(210));
  utterance = takeMark(utterance, { type: "word", index: 9 }, came(220));
  assert.equal(heardOf(utterance), "one two");
  assert.equal(utterance.isSettled, false);
});

Deno.test("the ledger is settled by the end, or by the cut, and takes nothing after it", () => {
  const ended = takeMark(spoken(), { type: "end" }, came(500));
  assert.equal(ended.isSettled, true);
  const cut = cutUtterance(spoken(), 100);
  assert.equal(
    takeMark(cut, { type: "end" }, came(110)).isSettled,
    false,
    "a clear returns it early",
  );
  assert.equal(takeMark(cut, { type: "cut" }, came(110)).isSettled, true);
  assert.equal(takeMark(settle(spoken()), { type: "word", index: 0 }, came(200)).heardCount, 0);
});

Deno.test("the ledger keeps the instant of the first cut", () => {
  assert.equal(cutUtterance(cutUtterance(spoken(), 100), 200).cutAt, 100);
});
