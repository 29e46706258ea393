/** Figures of an overload: parts of calls count by their part, and what is missed is named. */

import assert from "node:assert/strict";
import { creditOf, figuresOf, type Rung, slopePerMinute } from "./overload_figures.ts";

const MINUTE = 60_000;

function call(rungAtMs: number, endedAtMs: number, more: { isGood?: boolean; gap?: number } = {}) {
  const { isGood = true, gap = 800 } = more;
  const why = isGood ? "" : "it broke";
  return { type: "admitted", rungAtMs, endedAtMs, tookMs: 5, gapsMs: [gap], isGood, why } as const;
}

Deno.test("a call counts by the part of it that lies within, and only one that succeeded", () => {
  const all: Rung[] = [
    call(0, MINUTE),
    call(MINUTE / 2, MINUTE * 3 / 2), // half of it
    call(-MINUTE * 3, -MINUTE), // before
    call(0, MINUTE, { isGood: false }),
    { type: "rejected", rungAtMs: 1, tookMs: 3 },
  ];
  assert.equal(creditOf(all, { fromMs: 0, untilMs: MINUTE }), 1.5);
});

Deno.test("memory grows by the slope of its samples, whatever the first and the last one are", () => {
  const samples = Array.from({ length: 61 }, (_, second) => ({
    atMs: second * 1_000,
    mb: 100 + second / 30,
  }));
  assert.equal(Math.round(slopePerMinute(samples) * 1e6), 2e6);
  assert.equal(slopePerMinute(samples.slice(0, 1)), 0);
});

Deno.test("what is not as it should be is named, and fails", () => {
  const phases = {
    atCapacity: { fromMs: 0, untilMs: MINUTE },
    overloaded: { fromMs: MINUTE, untilMs: 2 * MINUTE },
    rssMb: [],
    heldMb: [],
  };
  const before = [call(0, MINUTE - 1), call(1, MINUTE - 1)];
  const good = [call(MINUTE, 2 * MINUTE), call(MINUTE, 2 * MINUTE)];
  assert.deepEqual(figuresOf([...before, ...good], phases).missed, []);
  const bad: Rung[] = [
    call(MINUTE, 2 * MINUTE, { gap: 2_000 }),
    call(MINUTE, 2 * MINUTE, { isGood: false }),
    { type: "rejected", rungAtMs: MINUTE, tookMs: 51 },
    { type: "failed", rungAtMs: MINUTE, reason: "no answer" },
  ];
  const { missed, failed, reasons, goodputPercent } = figuresOf([...before, ...bad], phases);
  assert.deepEqual(missed, ["goodput", "rejection", "latency", "lost", "errors"]);
  assert.deepEqual([failed, goodputPercent, reasons], [5, 50, ["it broke", "no answer"]]);
});

Deno.test("memory that grows is named where the run is long, by what is held and not by what is taken", () => {
  const minutes = (perMinute: number, count = 11) =>
    Array.from({ length: count }, (_, nth) => ({ atMs: nth * MINUTE, mb: 50 + nth * perMinute }));
  const of = (held: number, rss: number, count = 10) =>
    figuresOf(Array.from({ length: 12 }, (_, nth) => call(nth * MINUTE, (nth + 1) * MINUTE)), {
      atCapacity: { fromMs: 0, untilMs: MINUTE },
      overloaded: { fromMs: MINUTE, untilMs: (1 + count) * MINUTE },
      rssMb: minutes(rss),
      heldMb: minutes(held),
    });
  assert.deepEqual(of(0.3, 0).missed, ["memory"]);
  assert.deepEqual(of(0.3, 0, 4).missed, []);
  assert.deepEqual(of(0.2, 4).missed, []);
  assert.deepEqual([of(0.2, 4).heldSlopeMbPerMin, of(0.2, 4).rssSlopeMbPerMin], [0.2, 4]);
});
