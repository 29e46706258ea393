/** Tokens: never more than there are, some kept for callers, none lost, and nobody starves. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Grant,
  newTokens,
  type TokensOptions,
  WANTS_MS,
  type Work,
} from "@/actors/admission/tokens.ts";

function setUp(options: Partial<TokensOptions> = {}) {
  return newTokens({
    capacity: 10,
    keptPercent: 20,
    now: () => 0,
    isShed: () => false,
    ...options,
  });
}

/** Takes until it is refused. */
function takeAll(take: () => Grant | null): Grant[] {
  const grants: Grant[] = [];
  for (let grant = take(); grant !== null; grant = take()) grants.push(grant);
  return grants;
}

Deno.test("alone a tenant has the whole machine; what we place leaves room for callers", () => {
  const tokens = setUp();
  assert.equal(takeAll(() => tokens.take("outbound", "a")).length, 8);
  assert.equal(tokens.take("talk", "a"), null);
  assert.equal(takeAll(() => tokens.take("inbound", "a")).length, 2);
});

Deno.test("a page costs half a call", () => {
  const tokens = setUp();
  assert.equal(takeAll(() => tokens.take("talk", "a")).length, 16);
});

Deno.test("a tenant that was refused below its share gets what the others give back", () => {
  let nowMs = 0;
  const tokens = setUp({ now: () => nowMs });
  const grants = takeAll(() => tokens.take("inbound", "a"));
  assert.equal(tokens.take("inbound", "b"), null);
  for (let freed = 1; freed <= 5; freed++) {
    grants.pop()?.release();
    assert.equal(tokens.take("inbound", "a"), null, "over its share while b waits");
    assert(tokens.take("inbound", "b") !== null);
    if (freed < 5) assert.equal(tokens.take("inbound", "b"), null);
  }
  assert.equal(tokens.take("inbound", "b"), null); // at its share: it has no claim on more
  grants.pop()?.release();
  nowMs += WANTS_MS + 1;
  assert(tokens.take("inbound", "a") !== null, "b has gone: nothing stays idle");
});

Deno.test("what is shed is refused, but not a call that goes on", () => {
  const tokens = setUp({ isShed: () => true });
  for (const work of ["inbound", "outbound", "talk"] as const) {
    assert.equal(tokens.take(work, "a"), null);
  }
  assert(tokens.take("goingOn", "a") !== null);
  assert.deepEqual(tokens.view().refused, { inbound: 1, outbound: 1, talk: 1, goingOn: 0 });
});

Deno.test("whatever is taken and given back, by whom and how often", () => {
  const step = fc.oneof(
    fc.record({
      work: fc.constantFrom<Work>("inbound", "outbound", "talk", "goingOn"),
      tenant: fc.constantFrom("a", "b", "c"),
      waitMs: fc.nat(20_000),
    }),
    fc.record({ release: fc.nat(), times: fc.integer({ min: 1, max: 3 }) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    let nowMs = 0;
    const tokens = setUp({ now: () => nowMs });
    const held: { readonly grant: Grant; readonly weight: number; readonly ours: boolean }[] = [];
    for (const step of steps) {
      if ("release" in step) {
        const [gone] = held.splice(step.release % Math.max(held.length, 1), 1);
        for (let time = 0; time < step.times; time++) gone?.grant.release();
      } else {
        nowMs += step.waitMs;
        const grant = tokens.take(step.work, step.tenant);
        const weight = step.work === "talk" ? 0.5 : 1;
        const ours = step.work === "outbound" || step.work === "talk";
        if (grant !== null) held.push({ grant, weight, ours });
      }
      const sum = held.reduce((all, { weight }) => all + weight, 0);
      const ours = held.reduce((all, it) => all + (it.ours ? it.weight : 0), 0);
      assert.equal(tokens.view().taken, sum);
      assert(sum <= 10 && ours <= 8);
    }
    for (const { grant } of held) grant.release();
    assert.equal(tokens.view().taken, 0);
    nowMs += WANTS_MS + 1;
    assert.equal(takeAll(() => tokens.take("inbound", "a")).length, 10); // nothing was lost
  }));
});
