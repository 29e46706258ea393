/** Levels of pressure: up after what lasts, down by steps of calm, never for a moment. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { newGauge, WARM_MS } from "@/actors/admission/gauge.ts";
import {
  CALM_MS,
  isShed,
  type Level,
  NO_PRESSURE,
  pressed,
  type Pressure,
  RISE_MS,
  type Sample,
} from "@/actors/admission/pressure.ts";
import { LAG_BUCKETS_MS } from "@/actors/runtime/lag.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { silentLog } from "@/lib/log.ts";

const CALM: Sample = { lagMs: 5, memory: 0.1 };

/** The level after each second of these samples. */
function levels(samples: readonly Sample[], from: Pressure = NO_PRESSURE): readonly Level[] {
  let pressure = from;
  return samples.map((sample, second) => {
    pressure = pressed(pressure, sample, { nowMs: second * 1_000, bearableMs: 50 });
    return pressure.level;
  });
}

function seconds(count: number, sample: Partial<Sample>): Sample[] {
  return Array.from({ length: count }, () => ({ ...CALM, ...sample }));
}

Deno.test("what lasts two seconds counts, and climbs to the top of its band when it goes on", () => {
  assert.deepEqual(levels(seconds(6, { lagMs: 100 })), [0, 0, 1, 1, 1, 2]);
  assert.deepEqual(levels(seconds(6, { lagMs: 200 })), [0, 0, 3, 3, 3, 4]);
  assert.deepEqual(levels(seconds(3, { lagMs: 500 })), [0, 0, 5]);
  assert.deepEqual(levels(seconds(3, { memory: 0.8 })), [0, 0, 3]);
  assert.deepEqual(levels(seconds(3, { memory: 0.9 })), [0, 0, 5]);
});

Deno.test("a moment does not count, and what lasts counts as the least of it", () => {
  const hiccup = [...seconds(2, { lagMs: 1_000 }), ...seconds(1, {})];
  assert.deepEqual(levels([...hiccup, ...hiccup, ...hiccup]), [0, 0, 0, 0, 0, 0, 0, 0, 0]);
  const mixed = [...seconds(1, { lagMs: 1_000 }), ...seconds(2, { lagMs: 100 })];
  assert.deepEqual(levels(mixed), [0, 0, 1]);
});

Deno.test("it falls by one level for each ten seconds of calm", () => {
  const after = levels(seconds(52, {}), { level: 5, over: null, calmSinceMs: null });
  assert.deepEqual([9, 10, 20, 30, 40, 50].map((second) => after[second]), [5, 4, 3, 2, 1, 0]);
});

Deno.test("whatever is measured: no two falls within ten seconds, no rise within two", () => {
  const sample = fc.record({
    lagMs: fc.constantFrom(5, 50, 100, 200, 500),
    memory: fc.constantFrom(0, 0.8, 0.9),
  });
  fc.assert(fc.property(fc.array(sample, { maxLength: 100 }), (samples) => {
    const went = levels(samples);
    const changes = went.flatMap((level, at) => level === (went[at - 1] ?? 0) ? [] : [at]);
    for (const [index, at] of changes.entries()) {
      const rose = (went[at] ?? 0) > (went[at - 1] ?? 0);
      const since = at - (changes[index - 1] ?? 0);
      assert(since * 1_000 >= (rose ? RISE_MS : CALM_MS), `${went}`);
    }
  }));
});

Deno.test("work is shed in order: what waits before what speaks, callers last", () => {
  const shedAt = (level: Level) =>
    (["outbound", "jobs", "lists", "writes", "talk", "inbound"] as const)
      .filter((work) => isShed(work, level)).length;
  assert.deepEqual(([0, 1, 2, 3, 4, 5] as const).map(shedAt), [0, 1, 2, 3, 5, 6]);
});

Deno.test("the gauge reads the ticks of the last second, and tells of each change", async () => {
  const clock = manualClock();
  const counts = new Array<number>(LAG_BUCKETS_MS.length + 1).fill(0);
  const told: Level[] = [];
  let late = 10; // past the last bound
  const gauge = newGauge({
    clock,
    log: silentLog,
    bearableMs: 50,
    memoryMaxBytes: null,
    lag() {
      counts[late] = (counts[late] ?? 0) + 50;
      return { counts: [...counts], sumMs: 0, maxMs: 0 };
    },
    memoryBytes: () => 0,
    changed: (level) => void told.push(level),
  });
  await clock.advance(WARM_MS);
  assert.equal(gauge.level, 0, "a process that has just begun is late");
  await clock.advance(3_000);
  assert.deepEqual([gauge.level, gauge.isShed("inbound")], [5, true]);
  assert.match(gauge.text(), /ringmaster_pressure_level 5/);
  late = 0;
  await clock.advance(51_000);
  assert.deepEqual([told, gauge.view().sheds], [[5, 4, 3, 2, 1, 0], []]);
  gauge.stop();
  assert.equal(clock.armed, 0);
});

Deno.test("at a bearable lag of 0 nothing is shed for lag", async () => {
  const clock = manualClock();
  const counts = new Array<number>(LAG_BUCKETS_MS.length + 1).fill(0);
  const gauge = newGauge({
    clock,
    log: silentLog,
    bearableMs: 0,
    memoryMaxBytes: 100,
    lag: () => ({ counts: counts.map((_, at) => at === 10 ? clock.now() : 0), sumMs: 0, maxMs: 0 }),
    memoryBytes: () => clock.now() > 5_000 ? 90 : 10,
    changed: () => {},
  });
  await clock.advance(5_000);
  assert.equal(gauge.level, 0);
  await clock.advance(3_000);
  assert.equal(gauge.level, 5); // for its memory
  gauge.stop();
});
