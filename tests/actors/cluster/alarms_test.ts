/** Alarms: raised when it has lasted, once; over when it is over; what cannot be seen is not taken to be well. */

import assert from "node:assert/strict";
import type { Level } from "@/actors/admission/pressure.ts";
import { LOOK_MS, LOST_MS, newAlarms } from "@/actors/cluster/alarms.ts";
import type { NodeView } from "@/actors/cluster/roster.ts";
import { newLog } from "@/lib/log.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const LOOKS_A_MINUTE = 60_000 / LOOK_MS;
const AT = new Date(0);
const NODE = {
  ...{ address: "127.0.0.1:1", region: "", version: "1", keyHash: "", state: "active" },
  ...{
    load: 3,
    beat: 0,
    startedAt: AT,
    seenAt: AT,
    oldestUndeliveredMs: 0,
    link: null,
    actors: {},
  },
} as const;

function setUp() {
  const clock = manualClock();
  const logged: string[] = [];
  const machines = new Map<string, NodeView>();
  const world = {
    level: 0 as Level,
    orphans: {} as Record<string, number>,
    isAway: false,
    /** Those that beat no more. */
    still: new Set<string>(),
  };
  function put(nodeId: string, more: Partial<NodeView> = {}): void {
    const incarnation = nodeId === "one" ? 1 : 2;
    const isSelf = nodeId === "one";
    // No test looks at the key and the like of a row.
    machines.set(nodeId, { ...NODE, nodeId, incarnation, isSelf, ...more } as NodeView);
  }
  put("one");
  put("two");
  const log = newLog({
    level: "info",
    pii: false,
    date: () => clock.date(),
    write(line) {
      const { message, alarm, nodeId } = JSON.parse(line);
      logged.push(`${message}: ${alarm} ${nodeId}`);
    },
  });
  const alarms = newAlarms({
    clock,
    log,
    pressure: () => ({ level: world.level, lagMs: 60, memory: 0.5 }),
    cluster() {
      if (world.isAway) return Promise.reject(new Error("away"));
      const nodes = [...machines.values()];
      return Promise.resolve({
        self: { nodeId: "one", incarnation: 1 },
        nodes,
        orphans: world.orphans,
      });
    },
  });
  async function looks(count = 1): Promise<void> {
    for (let nth = 0; nth < count; nth++) {
      for (const [nodeId, node] of machines) {
        if (!world.still.has(nodeId)) machines.set(nodeId, { ...node, beat: node.beat + 2 });
      }
      await clock.advance(LOOK_MS);
    }
  }
  const current = (): string[] =>
    alarms.view().current.map(({ kind, nodeId }) => `${kind} ${nodeId}`);
  return { clock, logged, machines, world, put, alarms, looks, current };
}

Deno.test("pressure is an alarm at the next look, once, with its numbers, and is kept when it is over", async () => {
  const { clock, world, looks, current, alarms, logged } = setUp();
  await looks();
  assert.deepEqual(current(), []);
  world.level = 1;
  await looks();
  const since = clock.date().toISOString();
  world.level = 3;
  await looks(10);
  const alarm = { kind: "pressure", nodeId: "one", since } as const;
  const detail = { level: 3, lagMs: 60, memory: 0.5 };
  assert.deepEqual(alarms.view(), { current: [{ ...alarm, until: null, detail }], recent: [] });
  assert.match(alarms.text(), /^ringmaster_alarms\{kind="pressure"\} 1$/m);
  world.level = 0;
  await looks();
  const until = clock.date().toISOString();
  assert.deepEqual(alarms.view(), { current: [], recent: [{ ...alarm, until, detail }] });
  assert.match(alarms.text(), /^ringmaster_alarms\{kind="pressure"\} 0$/m);
  assert.deepEqual(logged, ["alarm raised: pressure one", "alarm is over: pressure one"]);
});

Deno.test("messages that wait, and calls that nobody has, are one after a minute", async () => {
  const { world, put, looks, current, alarms } = setUp();
  world.orphans = { call: 2 };
  put("two", { oldestUndeliveredMs: 6_000 });
  await looks(LOOKS_A_MINUTE);
  assert.deepEqual(current(), []);
  await looks();
  assert.deepEqual(current().sort(), ["orphans null", "undelivered two"]);
  world.orphans = {};
  put("two");
  await looks();
  assert.deepEqual([current(), alarms.view().recent.length], [[], 2]);
});

Deno.test("what was over before it was one is none", async () => {
  const { put, looks, current, alarms } = setUp();
  put("two", { oldestUndeliveredMs: null });
  await looks(2);
  put("two");
  await looks(5);
  assert.deepEqual([current(), alarms.view().recent], [[], []]);
  put("two", { oldestUndeliveredMs: null });
  await looks(3);
  assert.deepEqual(current(), ["silent two"]);
});

Deno.test("a machine that beats no more is lost, also when it is buried, until it is back or forgotten", async () => {
  const { world, machines, put, looks, current } = setUp();
  await looks(2);
  world.still.add("two");
  await looks(2);
  assert.deepEqual(current(), ["lost two"]);
  machines.delete("two");
  await looks(3);
  assert.deepEqual(current(), ["lost two"]);
  put("two", { incarnation: 3 });
  world.still.clear();
  await looks(2);
  assert.deepEqual(current(), []);
  world.still.add("two");
  await looks(2);
  machines.delete("two");
  await looks(LOST_MS / LOOK_MS);
  assert.deepEqual(current(), []);
});

Deno.test("a machine that drains is told, and is not missed when it has left", async () => {
  const { machines, put, looks, current } = setUp();
  await looks();
  put("two", { state: "draining", beat: 10 });
  await looks();
  assert.deepEqual(current(), ["draining two"]);
  machines.delete("two");
  await looks(3);
  assert.deepEqual(current(), []);
});

Deno.test("while the rows cannot be read that is one, and what was so stays", async () => {
  const { world, put, looks, current } = setUp();
  put("two", { state: "draining" });
  await looks();
  world.isAway = true;
  world.level = 2;
  await looks(3);
  assert.deepEqual(current().sort(), ["draining two", "pressure one", "unseen null"]);
  world.isAway = false;
  await looks();
  assert.deepEqual(current().sort(), ["draining two", "pressure one"]);
});

Deno.test("what is over is kept in bounds, newest first, and nothing is looked for when it is stopped", async () => {
  const { clock, world, looks, alarms } = setUp();
  for (let nth = 0; nth < 120; nth++) {
    world.level = 1;
    await looks();
    world.level = 0;
    await looks();
  }
  const { recent } = alarms.view();
  assert.equal(recent.length, 100);
  assert.ok((recent[0]?.since ?? "") > (recent[99]?.since ?? ""));
  alarms.stop();
  assert.equal(clock.armed, 0);
});
