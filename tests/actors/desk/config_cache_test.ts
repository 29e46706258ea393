/** The cache of tenants' configuration: never older than the version asked for, nor than a second without one. */

import assert from "node:assert/strict";
import { configCache, FRESH_MS, HELD_MAX, type Versioned } from "@/actors/desk/config_cache.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

/** A database whose answers take until the test lets them go, with what was there when they were asked for. */
function setUp() {
  const clock = manualClock();
  const state = { version: 1, loads: 0 };
  const waiting: (() => void)[] = [];
  const cache = configCache<Versioned>({
    clock,
    load() {
      state.loads++;
      const found = { configVersion: state.version };
      return new Promise((resolve) => waiting.push(() => resolve(found)));
    },
  });
  async function answer(): Promise<void> {
    waiting.splice(0).forEach((go) => go());
    await clock.settle();
  }
  async function read(version: number | null): Promise<number> {
    const reading = cache.read("tenant_1", version);
    await answer();
    return (await reading).configVersion;
  }
  return { clock, state, cache, answer, read };
}

Deno.test("what is held is given at once while no newer version is known", async () => {
  const { clock, state, cache, read } = setUp();
  await read(1);
  await clock.advance(3_600_000);
  assert.deepEqual(cache.read("tenant_1", 1), { configVersion: 1 });
  assert.equal(state.loads, 1);
});

Deno.test("a newer version on a message is read before anything is answered", async () => {
  const { state, read } = setUp();
  await read(1);
  state.version = 2;
  assert.equal(await read(2), 2);
  assert.equal(await read(1), 2);
  assert.equal(state.loads, 2);
});

Deno.test("without a version, what was read more than a second ago is read again", async () => {
  const { clock, state, read } = setUp();
  await read(null);
  state.version = 2;
  await clock.advance(FRESH_MS - 1);
  assert.equal(await read(null), 1);
  await clock.advance(1);
  assert.equal(await read(null), 2);
});

Deno.test("many who ask at once wait for one reading", async () => {
  const { state, cache, answer } = setUp();
  const asked = [
    cache.read("tenant_1", 1),
    cache.read("tenant_1", null),
    cache.read("tenant_1", 1),
  ];
  await answer();
  await Promise.all(asked);
  assert.equal(state.loads, 1);
});

Deno.test("a reading that began before the change is not taken for the new version", async () => {
  const { state, cache, answer } = setUp();
  const before = cache.read("tenant_1", 1);
  state.version = 2;
  const after = cache.read("tenant_1", 2);
  await answer();
  await answer();
  assert.deepEqual([(await before).configVersion, (await after).configVersion], [1, 2]);
});

Deno.test("a late answer of an older version does not take the place of a newer one", async () => {
  const clock = manualClock();
  const answers: PromiseWithResolvers<Versioned>[] = [];
  const cache = configCache<Versioned>({
    clock,
    load() {
      const answer = Promise.withResolvers<Versioned>();
      answers.push(answer);
      return answer.promise;
    },
  });
  const first = cache.read("tenant_1", 1);
  answers[0]?.resolve({ configVersion: 1 });
  await first;
  await clock.advance(FRESH_MS);
  const stale = cache.read("tenant_1", null);
  answers[1]?.resolve({ configVersion: 0 });
  await stale;
  assert.deepEqual(cache.read("tenant_1", 1), { configVersion: 1 });
});

Deno.test("a reading that fails is told, and tried again by the next who asks", async () => {
  const clock = manualClock();
  let isAway = true;
  const cache = configCache<Versioned>({
    clock,
    load: () => isAway ? Promise.reject(new Error("away")) : Promise.resolve({ configVersion: 1 }),
  });
  await assert.rejects(async () => await cache.read("tenant_1", 1), /away/);
  isAway = false;
  assert.deepEqual(await cache.read("tenant_1", 1), { configVersion: 1 });
});

Deno.test("so many tenants are held, and the one read longest ago goes first", async () => {
  const loaded: string[] = [];
  const cache = configCache<Versioned>({
    clock: manualClock(),
    load(tenantId) {
      loaded.push(tenantId);
      return Promise.resolve({ configVersion: 1 });
    },
  });
  for (let n = 0; n <= HELD_MAX; n++) await cache.read(`tenant_${n}`, 1);
  await cache.read("tenant_1", 1);
  assert.equal(loaded.length, HELD_MAX + 1);
  await cache.read("tenant_0", 1);
  assert.equal(loaded.length, HELD_MAX + 2);
});
