/** Identifiers: their form, their order, and what is none. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { ascendingIds, newId, newToken, uuidOf, uuidv7 } from "@/lib/ids.ts";

const at = (unixMs: number, random = new Uint8Array(10)) => ({
  unixMs: () => unixMs,
  random: () => random,
});

Deno.test("a UUIDv7 is the one of RFC 9562, appendix A.6", () => {
  const random = Uint8Array.from([0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]);
  assert.equal(
    uuidv7(at(0x017f22e279b0, random)),
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
  );
});

Deno.test("ids sort by the time they were made", () => {
  const ms = fc.integer({ min: 0, max: 2 ** 48 - 1 });
  const random = fc.uint8Array({ minLength: 10, maxLength: 10 });
  fc.assert(
    fc.property(ms, ms, random, random, (a, b, one, two) => {
      fc.pre(a < b);
      assert.ok(uuidv7(at(a, one)) < uuidv7(at(b, two)));
    }),
    { seed: 3 },
  );
});

Deno.test("ids of one process ascend, whatever its clock and the dice say", () => {
  const ms = fc.array(fc.integer({ min: 1_000, max: 1_003 }), { minLength: 2, maxLength: 50 });
  fc.assert(
    fc.property(ms, fc.infiniteStream(fc.nat(255)), (times, dice) => {
      let nth = 0;
      const source = ascendingIds({
        unixMs: () => times[nth++ % times.length] ?? 0,
        random: () => Uint8Array.from({ length: 10 }, () => dice.next().value ?? 0),
      });
      const ids = Array.from({ length: 5_000 }, () => uuidv7(source));
      assert.deepEqual(ids, [...new Set(ids)].sort());
    }),
    { seed: 4, numRuns: 10 },
  );
});

Deno.test("an id gives back its UUID, under its own prefix alone", () => {
  const id = newId("call", at(1));
  assert.equal(uuidOf("call", id), uuidv7(at(1)));
  assert.equal(uuidOf("agent", id), null);
  for (const none of ["", "call_", "call_1", `${id}0`, id.toUpperCase(), `call_${id}`]) {
    assert.equal(uuidOf("call", none), null, none);
  }
});

Deno.test("a token is 256 bits that fit into a path, and no two are equal", () => {
  const tokens = Array.from({ length: 100 }, newToken);
  assert.equal(new Set(tokens).size, 100);
  for (const token of tokens) assert.match(token, /^[\w-]{43}$/);
});
