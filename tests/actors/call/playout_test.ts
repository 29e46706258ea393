/** Playout: every byte once and in order, marks exactly behind their bytes, never too far ahead. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  LEAD_MS,
  PIECE_MS,
  type Playable,
  Playout,
  WAITING_MAX_BYTES,
} from "@/actors/call/playout.ts";
import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS, SILENCE } from "@/lib/audio/frame.ts";

const START = "start";

/** Bytes that say where they stand. */
function audioOf(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (from + at) % 251);
}

function bytesOf(items: readonly Playable[]): number {
  return items.reduce((sum, item) => sum + (item.type === "frames" ? item.audio.length : 0), 0);
}

/** Where each mark stands: bytes before it. */
function placesOf(items: readonly Playable[]): [string, number][] {
  let bytes = 0;
  return items.flatMap((item): [string, number][] => {
    if (item.type === "mark") return [[item.name, bytes]];
    bytes += item.audio.length;
    return [];
  });
}

function joined(items: readonly Playable[]): number[] {
  return items.flatMap((item) => item.type === "frames" ? [...item.audio] : []);
}

Deno.test("playout sends every byte once and in order, and fills up the last frame with silence", () => {
  const playout = new Playout();
  playout.add(audioOf(100));
  playout.add(audioOf(300, 100));
  playout.end("end", true);
  const items = playout.take(0);
  assert.deepEqual(joined(items), [...audioOf(400), ...Array(80).fill(SILENCE)]);
  assert.deepEqual(items.at(-1), { type: "mark", name: "end" });
  assert.equal(playout.isDone, true);
  assert.equal(playout.sentBytes, 480);
});

Deno.test("playout sends no part of a frame before the rest has come", () => {
  const playout = new Playout();
  playout.mark(0, START);
  playout.add(audioOf(FRAME_BYTES - 1));
  assert.deepEqual(playout.take(0), []);
  playout.add(audioOf(1));
  assert.deepEqual(placesOf(playout.take(5)), [[START, FRAME_BYTES]]);
});

Deno.test("a mark stands behind the frame that has the last byte of its word, and frames stay whole", () => {
  const playout = new Playout();
  playout.mark(0, START);
  playout.mark(250, "one");
  playout.mark(250, "two");
  playout.mark(480, "three");
  playout.add(audioOf(600));
  playout.end("end", true);
  const items = playout.take(0);
  assert.deepEqual(placesOf(items), [
    [START, 160],
    ["one", 320],
    ["two", 320],
    ["three", 480],
    ["end", 640],
  ]);
  const sizes = items.flatMap((item) => item.type === "frames" ? [item.audio.length] : []);
  assert.deepEqual(sizes, [160, 160, 160, 160]);
});

Deno.test("a mark that comes late is sent at the next chance, behind those before it", () => {
  const playout = new Playout();
  playout.add(audioOf(320));
  assert.equal(bytesOf(playout.take(0)), 320);
  playout.mark(100, "late");
  assert.deepEqual(playout.take(5), [{ type: "mark", name: "late" }]);
});

Deno.test("an utterance without audio has its marks, and is done", () => {
  const playout = new Playout();
  playout.mark(0, START);
  playout.end("end", true);
  assert.deepEqual(placesOf(playout.take(0)), [[START, 0], ["end", 0]]);
  assert.equal(playout.isDone, true);
});

Deno.test("an utterance that was all said has the marks of all its words, those past its audio at its end", () => {
  const playout = new Playout();
  playout.mark(100, "one");
  playout.mark(9_999, "two");
  playout.add(audioOf(200));
  playout.end("end", true);
  assert.deepEqual(placesOf(playout.take(0)), [["one", 160], ["two", 320], ["end", 320]]);
});

Deno.test("an utterance that broke off has no marks of words without their audio", () => {
  const playout = new Playout();
  playout.mark(100, "one");
  playout.mark(200, "two");
  playout.mark(201, "three");
  playout.add(audioOf(200));
  playout.end("end", false);
  assert.deepEqual(placesOf(playout.take(0)), [["one", 160], ["two", 320], ["end", 320]]);
});

Deno.test("playout is bounded: audio past its bound is not taken", () => {
  const playout = new Playout();
  const chunk = new Uint8Array(WAITING_MAX_BYTES / 4);
  for (let at = 0; at < 4; at++) assert.equal(playout.add(chunk), true);
  assert.equal(playout.add(new Uint8Array(1)), false);
  assert.equal(bytesOf(playout.take(0)), LEAD_MS * BYTES_PER_MS);
  assert.equal(playout.add(new Uint8Array(1)), true);
});

Deno.test("playout keeps real time with its lead, and loses nothing to a stall shorter than it", () => {
  const playout = new Playout();
  playout.add(audioOf(20_000));
  let sent = bytesOf(playout.take(0));
  assert.equal(sent, LEAD_MS * BYTES_PER_MS);
  for (const now of [5, 20, PIECE_MS - 1]) assert.deepEqual(playout.take(now), []);
  assert.equal(playout.dueAt, PIECE_MS);
  sent += bytesOf(playout.take(PIECE_MS));
  assert.equal(sent, (LEAD_MS + PIECE_MS) * BYTES_PER_MS);
  sent += bytesOf(playout.take(300)); // a stall of ours: the carrier has not run dry
  assert.equal(sent, (LEAD_MS + 300) * BYTES_PER_MS);
});

Deno.test("playout counts anew from an underrun: it does not hurry to make up for silence", () => {
  const playout = new Playout();
  playout.add(audioOf(800)); // 100 ms
  assert.equal(bytesOf(playout.take(0)), 800);
  playout.add(audioOf(20_000));
  assert.equal(bytesOf(playout.take(500)), LEAD_MS * BYTES_PER_MS); // dry for 400 ms
  assert.equal(bytesOf(playout.take(520)), 0);
  assert.equal(bytesOf(playout.take(500 + PIECE_MS)), PIECE_MS * BYTES_PER_MS);
});

Deno.test("playout says when it is due: looked at each tick, the carrier has the lead less a piece at the least", () => {
  const playout = new Playout();
  playout.mark(100, "one");
  playout.add(audioOf(40_000)); // 5 s
  let sent = 0;
  for (let now = 0; now < 4_000; now += FRAME_MS) {
    const isDue = playout.dueAt <= now;
    const items = playout.take(now);
    assert.equal(items.length > 0, isDue, `at ${now} ms`);
    sent += bytesOf(items);
    const aheadMs = sent / BYTES_PER_MS - now;
    assert.ok(aheadMs > LEAD_MS - PIECE_MS && aheadMs <= LEAD_MS, `${aheadMs} ms ahead`);
  }
  playout.mark(200, "late");
  assert.equal(playout.dueAt, -Infinity);
});

Deno.test("playout is never more than its lead ahead of what has played, whatever comes when", () => {
  const step = fc.record({
    afterMs: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 900 })),
    chunk: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 5_000 })),
    wordEnds: fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, isComplete) => {
      const playout = new Playout();
      playout.mark(0, START);
      const items: Playable[] = [];
      const marks: [string, number][] = [];
      let now = 0;
      let added = 0;
      let wordEnd = FRAME_BYTES; // no word is shorter than a frame
      let playsUntil = 0; // when the carrier would run dry
      const take = (): void => {
        const taken = playout.take(now);
        const sentMs = bytesOf(taken) / BYTES_PER_MS;
        if (sentMs > 0) playsUntil = Math.max(playsUntil, now) + sentMs;
        assert.ok(playsUntil - now <= LEAD_MS, `${playsUntil - now} ms ahead`);
        items.push(...taken);
      };
      for (const { afterMs, chunk, wordEnds } of steps) {
        now += afterMs;
        for (const bytes of wordEnds) {
          wordEnd += bytes;
          marks.push([`w${wordEnd}`, wordEnd]);
          playout.mark(wordEnd, `w${wordEnd}`);
        }
        playout.add(audioOf(chunk, added));
        added += chunk;
        take();
      }
      playout.end("end", isComplete);
      for (let ticks = 0; !playout.isDone; ticks++) {
        assert.ok(ticks < 50_000, "ends");
        now += 5;
        take();
      }
      const bytes = joined(items);
      assert.equal(bytes.length, Math.ceil(added / FRAME_BYTES) * FRAME_BYTES);
      assert.deepEqual(bytes.slice(0, added), [...audioOf(added)]);
      const kept = marks.filter(([, at]) => isComplete || at <= added);
      const expected = [...kept.map(([name]) => name), "end"];
      const places = placesOf(items).filter(([name]) => name !== START);
      assert.deepEqual(places.map(([name]) => name), expected, "order");
      const at = new Map(marks);
      for (const [name, place] of places) {
        assert.ok(
          place >= Math.min(at.get(name) ?? bytes.length, bytes.length),
          `${name} too early`,
        );
      }
    }),
    { seed: 6, numRuns: 300 },
  );
});
