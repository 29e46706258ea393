/** A limiter whose shared count goes away: it decides by itself, holds nobody, and says so once. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import type { Bucket, Verdict, Want } from "@/lib/limits/limiter.ts";
import { memoryLimiter } from "@/lib/limits/memory.ts";
import { ANSWER_MS, type Evaluate, redisCount, type SharedCount } from "@/lib/limits/redis.ts";
import { FAILURES_MAX, RETRY_MS, sharedLimiter } from "@/lib/limits/shared.ts";
import { newLog } from "@/lib/log.ts";
import { type ManualClock, manualClock } from "@/tests/support/manual_clock.ts";

const BUCKET: Bucket = { name: "read", capacity: 10, perSecond: 1, isStrict: false };
const LOGIN: Bucket = { name: "login", capacity: 10, perSecond: 1, isStrict: true };

/** Four machines, of which this is one, and a count that fails when it is told to. */
function setUp(fake: Partial<SharedCount> = {}) {
  const clock = manualClock();
  const common = memoryLimiter(clock);
  const state = { isAway: false, asked: 0 };
  const count: SharedCount = {
    takeAll(wants: readonly Want[]): Promise<readonly Verdict[]> {
      state.asked++;
      if (state.isAway) return Promise.reject(new AppError("provider_failed", "Nobody there"));
      return common.takeAll(wants);
    },
    ...fake,
  };
  const logged: string[] = [];
  const log = newLog({
    level: "info",
    pii: false,
    date: clock.date,
    write: (line) => logged.push(JSON.parse(line).message),
  });
  const limiter = sharedLimiter({ count, machines: 4, clock, log });
  return { clock, state, logged, limiter, common };
}

Deno.test("while the shared count answers, it decides", async () => {
  const { limiter, common } = setUp();
  await common.take(BUCKET, "a", 8); // by other machines
  assert.equal((await limiter.take(BUCKET, "a", 2)).remaining, 0);
  assert.equal((await limiter.take(BUCKET, "a")).isAllowed, false);
  assert.deepEqual(limiter.metrics(), {
    buckets: [{ bucket: "read", by: "shared", allowed: 1, refused: 1 }],
    failures: 0,
    isShared: true,
  });
});

Deno.test("without the shared count each machine allows its part", async () => {
  const { limiter, state } = setUp();
  state.isAway = true;
  const allowed = [];
  for (let n = 0; n < 5; n++) allowed.push((await limiter.take(BUCKET, "a")).isAllowed);
  assert.deepEqual(allowed, [true, true, false, false, false]);
});

Deno.test("an outage does not fill a bucket again that this machine has emptied", async () => {
  const { limiter, state } = setUp();
  await limiter.take(LOGIN, "a", 1);
  await limiter.take(LOGIN, "a", 1);
  state.isAway = true;
  assert.equal((await limiter.take(LOGIN, "a")).isAllowed, false);
  assert.equal((await limiter.take(LOGIN, "b")).isAllowed, true);
});

Deno.test("a count that is away is asked by one request every few seconds, on the side", async () => {
  const { limiter, state, clock, logged } = setUp();
  state.isAway = true;
  for (let n = 0; n < 20; n++) await limiter.take(BUCKET, `${n}`);
  assert.equal(state.asked, FAILURES_MAX);
  await clock.advance(RETRY_MS);
  for (let n = 0; n < 20; n++) await limiter.take(BUCKET, `${n}`);
  assert.equal(state.asked, FAILURES_MAX + 1);
  state.isAway = false;
  await clock.advance(RETRY_MS);
  await limiter.take(BUCKET, "probe");
  await clock.settle();
  assert.equal((await limiter.take(BUCKET, "a", 5)).limit, 10);
  assert.deepEqual(logged, [
    "limits are local: the shared count is out of reach",
    "limits are shared again",
  ]);
  assert.deepEqual(limiter.metrics(), {
    buckets: [
      { bucket: "read", by: "shared", allowed: 1, refused: 0 },
      { bucket: "read", by: "local", allowed: 41, refused: 0 },
    ],
    failures: 4,
    isShared: true,
  });
});

Deno.test("one failure alone, or a few with answers between them, changes nothing", async () => {
  const { limiter, state, logged } = setUp();
  for (let n = 0; n < 4 * FAILURES_MAX; n++) {
    state.isAway = n % FAILURES_MAX !== 0;
    await limiter.take(BUCKET, `${n}`);
  }
  assert.equal(state.asked, 4 * FAILURES_MAX);
  assert.deepEqual(logged, []);
});

Deno.test("whatever the shared count throws, the limiter decides", async () => {
  for (const error of [new TypeError("a bug"), "text", undefined]) {
    const { limiter } = setUp({ takeAll: () => Promise.reject(error) });
    assert.equal((await limiter.take(BUCKET, "a")).isAllowed, true);
  }
});

/** A Redis that answers `result` after so long, unless it is no longer waited for. */
function redisThat(clock: ManualClock, { afterMs, result }: { afterMs: number; result: unknown }) {
  const evaluate: Evaluate = (_script, _keys, _args, signal) =>
    new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      clock.timer(afterMs, () => resolve(result));
    });
  return redisCount(evaluate, clock);
}

Deno.test("nobody is held longer than the deadline of the shared count, and then nobody at all", async () => {
  const clock = manualClock();
  const count = redisThat(clock, { afterMs: 5_000, result: [1, 0] });
  const log = newLog({ level: "error", pii: false, date: clock.date });
  const limiter = sharedLimiter({ count, machines: 1, clock, log });
  const heldMs: number[] = [];
  for (let n = 0; n < FAILURES_MAX + 3; n++) {
    const began = clock.now();
    const taking = limiter.take(BUCKET, "a").then(() => heldMs.push(clock.now() - began));
    await clock.advance(ANSWER_MS);
    await taking;
  }
  assert.deepEqual(heldMs, [ANSWER_MS, ANSWER_MS, ANSWER_MS, 0, 0, 0]);
});

Deno.test("half an hour without Redis costs one question each few seconds, and ends within one of them", async () => {
  const { limiter, state, clock } = setUp();
  state.isAway = true;
  for (let second = 0; second < 1_800; second++) {
    await limiter.take(BUCKET, "a");
    await clock.advance(1_000);
  }
  assert.ok(state.asked <= FAILURES_MAX + 1_800_000 / RETRY_MS, `${state.asked}`);
  state.isAway = false;
  await clock.advance(RETRY_MS);
  await limiter.take(BUCKET, "a");
  await clock.settle();
  assert.equal(limiter.metrics().isShared, true);
});
