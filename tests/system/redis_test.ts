/** Limits in a real Redis behind Upstash's REST API: never exceeded, refilled to the token, forgotten when full. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type Clock, sleep, systemClock } from "@/lib/clock.ts";
import { Secret } from "@/lib/secret.ts";
import type { Bucket } from "@/lib/limits/limiter.ts";
import { redisCount, type SharedCount, upstash } from "@/lib/limits/redis.ts";
import { FAILURES_MAX, RETRY_MS, sharedLimiter } from "@/lib/limits/shared.ts";
import { silentLog } from "@/lib/log.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { connectRedis, type RedisConnection } from "@/tests/support/redis_connection.ts";
import { type RedisServer, startRedis } from "@/tests/support/redis_server.ts";
import { startUpstash, type UpstashServer } from "@/tests/support/upstash.ts";

interface Kit {
  readonly redis: RedisServer;
  readonly rest: UpstashServer;
  readonly count: SharedCount;
  /** A connection beside the REST API. */
  readonly direct: RedisConnection;
  /** Makes it so long ago, for a bucket, that anything was taken. */
  age(bucket: Bucket, key: string, ms: number): Promise<void>;
}

async function withRedis(test: (kit: Kit) => Promise<void>): Promise<void> {
  const redis = await startRedis();
  const rest = startUpstash({ path: redis.path, clock: systemClock });
  const direct = await connectRedis(redis.path);
  try {
    await test({
      redis,
      rest,
      direct,
      count: newCount(rest),
      async age(bucket, key, ms) {
        await direct.send(["DECRBY", nameOf(bucket, key), ms * 1_000]);
      },
    });
  } finally {
    direct.close();
    await rest.close();
    await redis.stop();
  }
}

/** Its deadline passes only on a clock that moves. */
function newCount({ url, token }: UpstashServer, clock: Clock = systemClock): SharedCount {
  return redisCount(upstash({ url, token: new Secret(token) }), clock);
}

const nameOf = (bucket: Bucket, key: string): string => `ringmaster:limit:${bucket.name}:${key}`;

/** A token an hour: nothing comes back during a test that does not age the bucket. */
function slow(capacity: number): Bucket {
  return { name: "slow", capacity, perSecond: 1 / 3_600, isStrict: false };
}
const HOUR_MS = 3_600_000;

async function take(count: SharedCount, bucket: Bucket, key: string, cost = 1) {
  const [verdict] = await count.takeAll([{ bucket, key, cost }]);
  assert.ok(verdict);
  return verdict;
}

Deno.test("twenty clients on one bucket together get its capacity, and not one token more", async () => {
  await withRedis(async ({ rest }) => {
    const clients = Array.from({ length: 20 }, () => newCount(rest, manualClock()));
    const costs = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 20, maxLength: 60 });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(costs, fc.integer({ min: 1, max: 40 }), async (wanted, capacity) => {
        const key = `round ${++round}`;
        const verdicts = await Promise.all(wanted.map(async (cost, i) => {
          const client = clients[i % clients.length];
          assert.ok(client);
          return { cost, ...await take(client, slow(capacity), key, cost) };
        }));
        const taken = verdicts.filter((it) => it.isAllowed).reduce(
          (sum, { cost }) => sum + Math.min(cost, capacity),
          0,
        );
        assert.ok(taken <= capacity, `${taken} of ${capacity}`);
        const left = capacity - taken;
        for (const { cost, isAllowed } of verdicts) {
          assert.ok(isAllowed || Math.min(cost, capacity) > left, "refused, and there was enough");
        }
      }),
      { numRuns: Number(Deno.env.get("LIMIT_RUNS") ?? 20), seed: 7 },
    );
  });
});

Deno.test("tokens come back one by one, each after its time and none before", async () => {
  await withRedis(async ({ count, age }) => {
    const bucket = slow(10);
    assert.equal((await take(count, bucket, "a", 10)).remaining, 0);
    await age(bucket, "a", HOUR_MS - 60_000);
    const early = await take(count, bucket, "a");
    assert.deepEqual({ ...early, retryAfterS: 60 }, {
      isAllowed: false,
      limit: 10,
      remaining: 0,
      retryAfterS: 60,
      resetS: early.resetS,
    });
    assert.ok(early.retryAfterS > 50 && early.retryAfterS <= 60, `${early.retryAfterS}`);
    await age(bucket, "a", 60_000);
    assert.equal((await take(count, bucket, "a")).isAllowed, true);
    assert.equal((await take(count, bucket, "a")).isAllowed, false);
    await age(bucket, "a", 3.5 * HOUR_MS);
    assert.deepEqual(await take(count, bucket, "a", 3), {
      isAllowed: true,
      limit: 10,
      remaining: 0,
      retryAfterS: 0,
      resetS: 9.5 * 3_600,
    });
    await age(bucket, "a", 100 * HOUR_MS);
    assert.equal((await take(count, bucket, "a", 10)).isAllowed, true);
    assert.equal((await take(count, bucket, "a")).isAllowed, false);
  });
});

Deno.test("a key lives until its bucket is full again, and no longer", async () => {
  await withRedis(async ({ count, direct }) => {
    const bucket: Bucket = { name: "quick", capacity: 100, perSecond: 10, isStrict: false };
    await take(count, bucket, "a", 50);
    const reply = await direct.send(["PTTL", nameOf(bucket, "a")]);
    assert.ok(reply.type === "integer" && reply.value > 4_000 && reply.value <= 5_001);
    const keys = await direct.send(["DBSIZE"]);
    assert.deepEqual(keys, { type: "integer", value: 1 });
  });
});

Deno.test("of several buckets all are taken from, or none", async () => {
  await withRedis(async ({ count, rest }) => {
    const [wide, narrow] = [{ ...slow(10), name: "wide" }, { ...slow(2), name: "narrow" }];
    const both = [{ bucket: wide, key: "a" }, { bucket: narrow, key: "b" }];
    await count.takeAll(both);
    await count.takeAll(both);
    const refused = await count.takeAll(both);
    assert.deepEqual(refused.map(({ isAllowed }) => isAllowed), [true, false]);
    assert.equal(rest.asked, 3); // one request each
    assert.deepEqual((await take(count, wide, "a")).remaining, 7);
  });
});

Deno.test("what another program left under a key is written over", async () => {
  await withRedis(async ({ count, direct }) => {
    const bucket = slow(3);
    await direct.send(["SET", nameOf(bucket, "text"), "a page"]);
    await direct.send(["LPUSH", nameOf(bucket, "list"), "a"]);
    for (const key of ["text", "list"]) {
      assert.equal((await take(count, bucket, key)).remaining, 2);
    }
    await direct.send(["SET", nameOf(bucket, "far"), "99999999999999999"]);
    assert.equal((await take(count, bucket, "far")).resetS, 3 * 3_600);
  });
});

Deno.test("a wrong token, a lost connection and a page in place of an answer reject, and tell no key", async () => {
  await withRedis(async ({ rest, count }) => {
    const stranger = redisCount(
      upstash({ url: rest.url, token: new Secret("wrong") }),
      systemClock,
    );
    const asking = (asked: SharedCount) => take(asked, slow(3), "192.0.2.7");
    await assert.rejects(asking(stranger), (error: Error) => {
      assert.match(error.message, /Unauthorized/);
      assert.doesNotMatch(error.message, /192\.0\.2\.7/);
      return true;
    });
    for (
      const behaviour of [
        { type: "gone" },
        { type: "status", status: 500 },
        { type: "slow", ms: 5_000 },
        { type: "wrong", body: "<html>" },
        { type: "wrong", body: "{}" },
        { type: "wrong", body: '{"result":[1]}' },
        { type: "wrong", body: '{"result":[1,-5]}' },
        { type: "wrong", body: '{"result":[7,0]}' },
        { type: "wrong", body: '{"result":[1,1e300]}' },
        { type: "wrong", body: '{"result":["eA==","eQ=="]}' },
        { type: "wrong", body: "[]" },
        { type: "wrong", body: "null" },
      ] as const
    ) {
      rest.behave(behaviour);
      await assert.rejects(asking(count), { code: "provider_failed" }, JSON.stringify(behaviour));
    }
    rest.behave({ type: "answer" });
    assert.equal((await asking(count)).remaining, 2);
  });
});

Deno.test("a Redis that is killed leaves limits local, and shared again once it is back", async () => {
  await withRedis(async ({ redis, count }) => {
    const clock = manualClock();
    const limiter = sharedLimiter({ count, machines: 2, clock, log: silentLog });
    assert.equal((await limiter.take(slow(10), "a")).limit, 10);
    await redis.kill();
    for (let n = 0; n < FAILURES_MAX; n++) await limiter.take(slow(10), "a");
    assert.equal((await limiter.take(slow(10), "a")).limit, 5);
    await redis.start();
    await clock.advance(RETRY_MS);
    const before = limiter.metrics().isShared;
    await limiter.take(slow(10), "a"); // asks on the side
    while (!limiter.metrics().isShared) await sleep(systemClock, 5);
    assert.equal(before, false);
    assert.equal((await limiter.take(slow(10), "a")).limit, 10);
  });
});
