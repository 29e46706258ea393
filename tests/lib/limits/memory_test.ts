/** Token buckets in memory: to the token and to the microsecond, all or none, and a part of them for one of many machines. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Bucket } from "@/lib/limits/limiter.ts";
import { HELD_MAX, memoryLimiter } from "@/lib/limits/memory.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const BUCKET: Bucket = { name: "read", capacity: 10, perSecond: 2, isStrict: false };

Deno.test("a bucket gives its capacity at once, then one token at a time", async () => {
  const clock = manualClock();
  const { take } = memoryLimiter(clock);
  assert.deepEqual(await take(BUCKET, "a", 10), {
    isAllowed: true,
    limit: 10,
    remaining: 0,
    retryAfterS: 0,
    resetS: 5,
  });
  await clock.advance(499);
  assert.deepEqual(await take(BUCKET, "a"), {
    isAllowed: false,
    limit: 10,
    remaining: 0,
    retryAfterS: 1,
    resetS: 5,
  });
  await clock.advance(1);
  assert.equal((await take(BUCKET, "a")).isAllowed, true);
  assert.equal((await take(BUCKET, "b")).remaining, 9);
});

Deno.test("a cost above the capacity takes a full bucket", async () => {
  const { take } = memoryLimiter(manualClock());
  assert.equal((await take(BUCKET, "a", 50)).isAllowed, true);
  assert.equal((await take(BUCKET, "a", 50)).retryAfterS, 5);
});

Deno.test("over any history a bucket has given no more than its capacity and what came back", async () => {
  const steps = fc.array(
    fc.record({
      afterMs: fc.integer({ min: 0, max: 3_000 }),
      cost: fc.integer({ min: 1, max: 6 }),
    }),
    { maxLength: 60 },
  );
  const capacity = fc.integer({ min: 1, max: 20 });
  const perSecond = fc.constantFrom(0.5, 1, 4, 10, 1_000);
  await fc.assert(
    fc.asyncProperty(steps, capacity, perSecond, async (history, capacity, perSecond) => {
      const clock = manualClock();
      const { take } = memoryLimiter(clock);
      const bucket = { ...BUCKET, capacity, perSecond };
      let tokens = capacity; // counted in the plain way
      let since = 0;
      for (const { afterMs, cost } of history) {
        await clock.advance(afterMs);
        tokens = Math.min(capacity, tokens + (clock.now() - since) * perSecond / 1_000);
        since = clock.now();
        const wanted = Math.min(cost, capacity);
        const isAllowed = tokens >= wanted;
        if (isAllowed) tokens -= wanted;
        const verdict = await take(bucket, "a", cost);
        assert.equal(verdict.isAllowed, isAllowed);
        assert.equal(verdict.remaining, Math.floor(tokens));
      }
    }),
    { seed: 11, numRuns: 200 },
  );
});

Deno.test("of several buckets all are taken from, or none", async () => {
  const { take, takeAll } = memoryLimiter(manualClock());
  const narrow = { ...BUCKET, name: "dial", capacity: 1 };
  const both = [{ bucket: BUCKET, key: "a", cost: 3 }, { bucket: narrow, key: "a" }];
  assert.deepEqual((await takeAll(both)).map((it) => it.remaining), [7, 0]);
  assert.deepEqual((await takeAll(both)).map((it) => it.isAllowed), [true, false]);
  assert.equal((await take(BUCKET, "a")).remaining, 6);
});

Deno.test("one of many machines allows its part, at its part of the rate", async () => {
  const clock = manualClock();
  const { take } = memoryLimiter(clock, 5);
  assert.equal((await take(BUCKET, "a", 2)).limit, 2);
  await clock.advance(2_499); // a token each 2.5 s
  assert.equal((await take(BUCKET, "a")).isAllowed, false);
  await clock.advance(1);
  assert.equal((await take(BUCKET, "a")).isAllowed, true);
});

Deno.test("a strict bucket of which a machine's part is less than a token gives none; another gives one", async () => {
  const { take } = memoryLimiter(manualClock(), 11);
  assert.equal((await take(BUCKET, "a")).isAllowed, true);
  const strict = await take({ ...BUCKET, isStrict: true }, "b");
  assert.deepEqual({ ...strict, resetS: 0 }, {
    isAllowed: false,
    limit: 0,
    remaining: 0,
    retryAfterS: 1,
    resetS: 0,
  });
});

Deno.test("so many buckets are held, and the one not used for longest goes first", async () => {
  const { take } = memoryLimiter(manualClock());
  await take(BUCKET, "oldest", 10);
  await take(BUCKET, "used again", 9);
  for (let n = 0; n < HELD_MAX - 2; n++) await take(BUCKET, `${n}`);
  await take(BUCKET, "used again");
  await take(BUCKET, "one more");
  assert.equal((await take(BUCKET, "used again")).isAllowed, false);
  assert.equal((await take(BUCKET, "oldest")).isAllowed, true);
});
