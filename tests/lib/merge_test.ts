/** Changes of settings: what is given is set, null takes away, the rest stays. */

import assert from "node:assert/strict";
import { merged } from "@/lib/merge.ts";

const rows: readonly [before: object, change: object, after: object][] = [
  [{}, {}, {}],
  [{ a: 1 }, { b: 2 }, { a: 1, b: 2 }],
  [{ a: 1 }, { a: 2 }, { a: 2 }],
  [{ a: 1, b: 2 }, { a: null, c: null }, { b: 2 }],
  [{ a: 1 }, { a: undefined }, { a: 1 }],
  [{ a: 1 }, { a: false, b: 0, c: "" }, { a: false, b: 0, c: "" }],
];

for (const [before, change, after] of rows) {
  Deno.test(`${JSON.stringify(before)} changed by ${Deno.inspect(change)}`, () => {
    assert.deepEqual(merged({ ...before }, { ...change }), after);
  });
}
