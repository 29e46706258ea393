/** Refused calls are told to their tenant: counted, once a minute, none lost while the database is away. */

import assert from "node:assert/strict";
import { newRefusals, type RefusalsTold, TELL_MS } from "@/actors/admission/refusals.ts";
import { silentLog } from "@/lib/log.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

function setUp() {
  const clock = manualClock();
  const told: (readonly [string, RefusalsTold])[] = [];
  const database = { isAway: false };
  const refusals = newRefusals({
    clock,
    log: silentLog,
    tell(tenantId, event) {
      if (database.isAway) return Promise.reject(new Error("away"));
      return Promise.resolve(void told.push([tenantId, event]));
    },
  });
  const at = (ms: number): string => new Date(clock.date().getTime() + ms).toISOString();
  return { clock, told, database, refusals, at };
}

Deno.test("a tenant is told once a minute how many were refused, and nothing where nobody was", async () => {
  const { clock, told, refusals, at } = setUp();
  const from = at(0);
  for (let nth = 0; nth < 1_000; nth++) refusals.count("a", "callers");
  refusals.count("b", "placed");
  await clock.advance(TELL_MS - 1);
  refusals.count("a", "pages");
  assert.deepEqual(told, []);
  await clock.advance(1);
  const until = at(0);
  assert.deepEqual(told, [
    ["a", { callers: 1_000, pages: 1, placed: 0, from, until }],
    ["b", { callers: 0, pages: 0, placed: 1, from, until }],
  ]);
  await clock.advance(10 * TELL_MS);
  assert.deepEqual([told.length, clock.armed], [2, 0]);
});

Deno.test("what could not be told is told with the next, and what is left at the end then", async () => {
  const { clock, told, database, refusals, at } = setUp();
  const from = at(0);
  database.isAway = true;
  refusals.count("a", "callers");
  await clock.advance(TELL_MS);
  database.isAway = false;
  refusals.count("a", "callers");
  await refusals.close();
  assert.deepEqual(told, [["a", { callers: 2, pages: 0, placed: 0, from, until: at(0) }]]);
  database.isAway = true;
  refusals.count("a", "callers");
  await refusals.close();
  assert.equal(clock.armed, 0);
});
