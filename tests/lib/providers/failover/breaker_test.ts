/** When a provider is asked, and when it is left alone. */

import assert from "node:assert/strict";
import { newBreakers } from "@/lib/providers/failover/breaker.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

function setUp() {
  const clock = manualClock();
  const breakers = newBreakers(clock);
  return { clock, breakers, breaker: breakers.of("openai house") };
}

Deno.test("five failures in a row open a breaker, for all who share its name, and two seconds later one may try", async () => {
  const { clock, breakers, breaker } = setUp();
  for (let nth = 0; nth < 4; nth++) breaker.failed();
  assert.equal(breaker.take(), true);
  breakers.of("openai house").failed();
  assert.equal(breaker.take(), false);
  assert.equal(breakers.of("openai tenant_1").take(), true, "another account");
  await clock.advance(2_000);
  assert.equal(breaker.take(), true);
  assert.equal(breaker.take(), false, "one at a time");
  breaker.succeeded();
  assert.equal(breaker.take(), true);
  assert.equal(breaker.take(), true);
});

Deno.test("each try in vain doubles the wait, up to half a minute", async () => {
  const { clock, breaker } = setUp();
  for (let nth = 0; nth < 5; nth++) breaker.failed();
  for (const waitMs of [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
    await clock.advance(waitMs - 1);
    assert.equal(breaker.take(), false, `${waitMs}`);
    await clock.advance(1);
    assert.equal(breaker.take(), true, `${waitMs}`);
    breaker.failed();
  }
});

Deno.test("half of ten failing within ten seconds opens it as well; a few that are long ago do not", async () => {
  const mixed = setUp();
  for (let nth = 0; nth < 5; nth++) {
    mixed.breaker.succeeded();
    mixed.breaker.failed();
  }
  assert.equal(mixed.breaker.take(), false);
  const old = setUp();
  for (let nth = 0; nth < 4; nth++) old.breaker.failed();
  await old.clock.advance(11_000);
  for (let nth = 0; nth < 8; nth++) old.breaker.succeeded();
  old.breaker.failed();
  assert.equal(old.breaker.take(), true);
});

Deno.test("a 429 is no failure: it is left alone for as long as it says", async () => {
  const { clock, breakers, breaker } = setUp();
  for (let nth = 0; nth < 20; nth++) breaker.limited(3);
  assert.equal(breaker.take(), false);
  await clock.advance(3_000);
  assert.equal(breaker.take(), true);
  assert.deepEqual(breakers.view(), [
    { name: "openai house", phase: "closed", opened: 0, failures: 0 },
  ]);
});

Deno.test("a probe that nobody waited for is sent again later", async () => {
  const { clock, breaker } = setUp();
  for (let nth = 0; nth < 5; nth++) breaker.failed();
  await clock.advance(2_000);
  assert.equal(breaker.take(), true);
  breaker.abandoned();
  assert.equal(breaker.take(), false);
  await clock.advance(2_000);
  assert.equal(breaker.take(), true);
});
