/** The gap the caller heard, and its parts. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { gapOf, type Milestone, type Milestones, reach } from "@/actors/call/gap.ts";

const ALL: readonly Milestone[] = [
  "callerEnded",
  "endpointed",
  "firstToken",
  "firstClause",
  "firstAudio",
  "firstSent",
  "playing",
  "audible",
];

Deno.test("a gap names the time of each step", () => {
  const gap = gapOf({
    callerEnded: 1_000,
    endpointed: 1_400,
    firstToken: 1_650.04,
    firstClause: 1_700,
    firstAudio: 1_800,
    firstSent: 1_800,
    playing: 1_840.25,
    audible: 1_850.25,
  });
  assert.deepEqual(gap, {
    gapMs: 850.3,
    parts: {
      endpointing: 400,
      model: 250,
      clause: 50,
      synthesis: 100,
      playout: 0,
      carrier: 40.3,
      silence: 10,
    },
  });
});

Deno.test("a gap takes a step that was skipped as none", () => {
  const gap = gapOf({ callerEnded: 0, endpointed: 300, firstClause: 300, audible: 500 });
  assert.equal(gap?.parts.model, 0);
  assert.equal(gap?.parts.silence, 200);
});

Deno.test("there is no gap when the caller had not spoken, or nothing was heard", () => {
  assert.equal(gapOf({ endpointed: 1, audible: 2 }), null);
  assert.equal(gapOf({ callerEnded: 1, endpointed: 2 }), null);
});

Deno.test("the parts of a gap sum to it exactly, none negative, in any order and with steps missing", () => {
  const time = fc.double({ min: 0, max: 1e7, noNaN: true });
  const given = fc.tuple(
    time,
    fc.array(fc.double({ min: 0, max: 5_000, noNaN: true })),
    fc.shuffledSubarray([...ALL]),
  );
  fc.assert(
    fc.property(given, ([from, offsets, order]) => {
      let milestones: Milestones = {};
      order.forEach((name, at) => milestones = reach(milestones, name, from + (offsets[at] ?? 0)));
      const gap = gapOf(milestones);
      if (gap === null) return;
      const tenths = Object.values(gap.parts).map((part) => Math.round(part * 10));
      assert.equal(tenths.reduce((sum, part) => sum + part, 0), Math.round(gap.gapMs * 10));
      for (const part of Object.values(gap.parts)) {
        assert.ok(Math.abs(part * 10 - Math.round(part * 10)) < 1e-6, "rounded to 0.1");
        if (gap.gapMs >= 0) assert.ok(part >= 0, `${part}`);
      }
    }),
    { seed: 3, numRuns: 2_000 },
  );
});

Deno.test("a milestone is reached once", () => {
  const first = reach({}, "firstToken", 10);
  assert.equal(reach(first, "firstToken", 20), first);
});
