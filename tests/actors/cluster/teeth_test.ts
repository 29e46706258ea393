/** The model has teeth: without any one rule of the protocol, it finds what the rule is for. */

import assert from "node:assert/strict";
import { TIMINGS } from "@/actors/cluster/membership.ts";
import { type ModelOptions, runHistory } from "@/tests/support/cluster_model.ts";
import { ALL_RULES } from "@/tests/support/cluster_tables.ts";

const SEEDS_MAX = 10_000;

/** A rule, the protocol without it, and what then happens. */
const BROKEN: readonly (readonly [rule: string, Omit<ModelOptions, "seed">, found: RegExp])[] = [
  [
    "an owner stops by its own deadline",
    { timings: { ...TIMINGS, guardMs: -Infinity } },
    /acts for|may act/,
  ],
  [
    "its deadline is the guard before the others'",
    { timings: { ...TIMINGS, guardMs: -TIMINGS.beatMs } },
    /acts for|may act/,
  ],
  [
    "a burial compares the beat that was watched",
    { rules: { ...ALL_RULES, comparesBeat: false } },
    /may act, and is buried/,
  ],
  [
    "a claim wants evidence of death",
    { rules: { ...ALL_RULES, wantsEvidence: false } },
    /acts for|after epoch/,
  ],
  [
    "every durable write is made under the fence",
    { rules: { ...ALL_RULES, fences: false } },
    /a write of epoch/,
  ],
  [
    "an outside effect has its intent written before",
    { writesIntent: false },
    /dialed twice/,
  ],
  [
    "what was given up is not taken again under its epoch",
    { remembersReleases: false },
    /acts for/,
  ],
  [
    "a call is taken only from whom it was seen with",
    { rules: { ...ALL_RULES, comparesSeen: false } },
    /which was taken since/,
  ],
  [
    "who cannot beat, as nobody can, buries nobody",
    { faults: "readOnly", timings: { ...TIMINGS, gapMs: Infinity } },
    /was well, and buried/,
  ],
  [
    "only time in which one's own looks worked counts",
    { faults: "outage", timings: { ...TIMINGS, gapMs: Infinity } },
    /was well, and buried/,
  ],
];

for (const [rule, options, found] of BROKEN) {
  Deno.test(`without it something breaks: ${rule}`, () => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const [violation] = runHistory({ ...options, seed }).violations;
      if (violation === undefined) continue;
      assert.match(violation, found);
      return;
    }
    assert.fail(`${SEEDS_MAX} histories, and nothing was found`);
  });
}
