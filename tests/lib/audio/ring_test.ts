/** The last bytes of a stream, whatever pieces it comes in. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { AudioRing } from "@/lib/audio/ring.ts";

Deno.test("a ring gives back the end of all that went into it, from any place", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 40 }),
    fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 }),
    fc.integer({ min: -10, max: 700 }),
    (bytes, pieces, place) => {
      const ring = new AudioRing(bytes);
      for (const piece of pieces) ring.push(piece);
      const whole = pieces.flatMap((piece) => [...piece]);
      assert.equal(ring.received, whole.length);
      assert.equal(ring.from, Math.max(0, whole.length - bytes));
      assert.deepEqual([...ring.since(place)], whole.slice(Math.max(ring.from, place)));
    },
  ));
});
