/** Barge-ins at random instants: the transcript has the words that the caller heard, and no other. */

import assert from "node:assert/strict";
import { type CutsResult, runCuts } from "@/tests/support/cuts.ts";

function words({ extra, missing, missingInFlight }: CutsResult): unknown {
  return { extra, missing, missingInFlight };
}

Deno.test("ten cuts of a carrier without delay: no word is extra, none is missing", async () => {
  const result = await runCuts({ seed: 7, cuts: 10, delayMaxMs: 0 });
  assert.ok(result.cuts >= 5, `only ${result.cuts} cuts`);
  assert.deepEqual(words(result), { extra: [], missing: [], missingInFlight: [] });
});

Deno.test("ten cuts of a carrier with delay: no word is extra, and only one in flight may be missing", async () => {
  const result = await runCuts({ seed: 8, cuts: 10, delayMaxMs: 80 });
  assert.ok(result.cuts >= 5, `only ${result.cuts} cuts`);
  assert.deepEqual(result.extra, []);
  assert.deepEqual(result.missing, result.missingInFlight);
  assert.ok(result.missing.length <= result.cuts);
});

Deno.test("ten cuts of a carrier whose delay jitters: no word is extra", async () => {
  const result = await runCuts({ seed: 9, cuts: 10, delayMaxMs: 80, jitterMs: 40 });
  assert.ok(result.cuts >= 5, `only ${result.cuts} cuts`);
  assert.deepEqual(result.extra, []);
});

Deno.test("a call of one seed is handled message by message the same every time", async () => {
  const run = () => runCuts({ seed: 11, cuts: 3, delayMaxMs: 80 });
  assert.equal((await run()).traceHash, (await run()).traceHash);
});
