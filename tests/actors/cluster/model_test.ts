/**
 * The ownership protocol against everything that can go wrong: `CLUSTER_RUNS` histories, from `CLUSTER_SEED`
 * on. One that fails is replayed by `CLUSTER_RUNS=1 CLUSTER_SEED=… deno test -A tests/actors/cluster/model_test.ts`.
 */

import assert from "node:assert/strict";
import { type History, runHistory } from "@/tests/support/cluster_model.ts";

const RUNS = Number(Deno.env.get("CLUSTER_RUNS") ?? 1_000);
const SEED = Number(Deno.env.get("CLUSTER_SEED") ?? 1);
const REPLAYED = Math.max(20, Math.min(RUNS / 100, 1_000));

Deno.test("in no history do two own an actor, act for it, or is anybody dialed twice", () => {
  const total: Partial<Record<keyof History["counts"], number>> = {};
  for (let seed = SEED; seed < SEED + RUNS; seed++) {
    const { violations, counts } = runHistory({ seed });
    assert.deepEqual(violations, []);
    for (const name of Object.keys(counts) as (keyof typeof counts)[]) { // all of them
      total[name] = (total[name] ?? 0) + counts[name];
    }
  }
  if (RUNS < 100) return;
  for (const [name, count] of Object.entries(total)) {
    assert.ok(count > RUNS / 10, `${name}: ${count}, so hardly tried`);
  }
});

for (const faults of ["outage", "readOnly"] as const) {
  Deno.test(`a database that is away for all, or takes no writes, proves nobody dead: ${faults}`, () => {
    for (let seed = SEED; seed < SEED + RUNS / 3; seed++) {
      assert.deepEqual(runHistory({ seed, faults }).violations, []);
    }
  });
}

Deno.test("a seed is a history: run twice, it goes the same way", () => {
  const hashes = new Set<number>();
  for (let seed = SEED; seed < SEED + REPLAYED; seed++) {
    const [one, two] = [runHistory({ seed }), runHistory({ seed })];
    assert.deepEqual(one, two);
    hashes.add(one.traceHash);
  }
  assert.equal(hashes.size, REPLAYED, "and another seed another way");
});
