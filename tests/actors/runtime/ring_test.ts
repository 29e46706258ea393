/** The ring against a plain array. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { Ring } from "@/actors/runtime/ring.ts";

type Step =
  | { type: "push" | "unshift"; item: number }
  | { type: "shift" | "drop" }
  | { type: "takeAt"; index: number }
  | { type: "remove"; item: number };

const item = fc.nat({ max: 20 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant("push" as const), item }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("unshift" as const), item }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom("shift" as const, "drop" as const) }) },
  {
    arbitrary: fc.record({ type: fc.constant("takeAt" as const), index: fc.nat({ max: 12 }) }),
    weight: 1,
  },
  { arbitrary: fc.record({ type: fc.constant("remove" as const), item }), weight: 1 },
);

/** Does the step to the ring and to a plain array; both must give the same. */
function apply(ring: Ring<number>, model: number[], taken: number[], step: Step): void {
  switch (step.type) {
    case "push":
      ring.push(step.item);
      model.push(step.item);
      break;
    case "unshift":
      ring.unshift(step.item);
      model.unshift(step.item);
      break;
    case "shift": {
      const wanted = model.shift();
      assert.equal(ring.shift(), wanted);
      if (wanted !== undefined) taken.unshift(wanted);
      break;
    }
    case "drop":
      assert.equal(ring.drop(), model.shift());
      break;
    case "takeAt":
      assert.equal(ring.takeAt(step.index), model.splice(step.index, 1)[0]);
      break;
    case "remove": {
      const index = model.indexOf(step.item);
      if (index >= 0) model.splice(index, 1);
      assert.equal(ring.remove((item) => item === step.item), index >= 0);
    }
  }
  assert.equal(ring.length, model.length);
  assert.equal(ring.peek(), model[0]);
  assert.deepEqual(ring.waiting(), model);
}

Deno.test("a ring keeps the order that an array keeps, whatever is done to it", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const ring = new Ring<number>();
      const model: number[] = [];
      for (const step of steps) apply(ring, model, [], step);
    }),
    { seed: 1, numRuns: 300 },
  );
});

Deno.test("a ring remembers what was last taken, newest first, and never what still waits", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 400 }), (pushes) => {
      const ring = new Ring<number>();
      const taken: number[] = [];
      let next = 0;
      for (const isPush of pushes) {
        if (isPush) ring.push(next++);
        else {
          const item = ring.shift();
          if (item !== undefined) taken.unshift(item);
        }
        const recent = ring.recent(16);
        assert.deepEqual(recent, taken.slice(0, recent.length));
      }
    }),
    { seed: 2, numRuns: 300 },
  );
});

Deno.test("a ring that had a burst of thousands gives its slots back and still knows the last items", () => {
  const ring = new Ring<number>();
  for (let n = 0; n < 5_000; n++) ring.push(n);
  for (let n = 0; n < 5_000; n++) assert.equal(ring.shift(), n);
  assert.deepEqual(ring.recent(100), [4_999, 4_998, 4_997, 4_996]);
});
