/** Who goes next: fairness to other actors and to the event loop, and replay by seed. */

import assert from "node:assert/strict";
import { newSystem } from "@/actors/runtime/system.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { probeKind, startProbe } from "./probe.ts";

const floodKind = probeKind({ controlMax: 10_000 });

/** Ten actors who pass notes on to each other for a while. */
async function play(seed?: number): Promise<{ trace: readonly string[]; hash: string }> {
  const kit = actorKit(seed === undefined ? {} : { seed });
  const probes = Array.from({ length: 10 }, (_, i) => startProbe(kit.system, { id: `p${i}` }));
  for (const [i, probe] of probes.entries()) {
    const next = probes[(i + 1) % probes.length];
    probe.note("a");
    probe.act((ctx) => ctx.timer("t", 5, { type: "act", act: () => void next?.note("b") }));
    probe.note("c");
  }
  await kit.clock.advance(100);
  return { trace: kit.trace, hash: kit.traceHash() };
}

Deno.test("one seed replays one history, and other seeds others", async () => {
  const [first, again, other] = [await play(7), await play(7), await play(8)];
  assert.equal(first.hash, again.hash);
  assert.deepEqual(first.trace, again.trace);
  assert.notEqual(first.hash, other.hash);
  assert.deepEqual(first.trace.toSorted(), other.trace.toSorted());
});

Deno.test("without a seed it is first come, first served", async () => {
  const { trace } = await play();
  assert.deepEqual(trace.slice(0, 4), [
    "probe/p0 note",
    "probe/p0 act",
    "probe/p0 note",
    "probe/p1 note",
  ]);
});

Deno.test("an actor with a flood of messages leaves others their turn", async () => {
  const kit = actorKit();
  const flooded = startProbe(kit.system, { id: "flooded", kind: floodKind });
  const other = startProbe(kit.system, { id: "other", kind: floodKind });
  for (let n = 0; n < 1_000; n++) flooded.note("x");
  other.note("mine");
  await kit.settle();
  assert.equal(kit.trace.indexOf("probe/other note"), 64);
});

/** A system that notes at each turn of the event loop how many messages were handled since the last. */
function counting(msPerMessage: number) {
  const manual = manualClock();
  let messages = 0;
  const perTurn: number[] = [];
  let before = 0;
  const clock = { ...manual, now: () => messages * msPerMessage };
  const system = newSystem({
    clock,
    log: silentLog,
    trace: () => messages++,
    yieldTo(resume) {
      manual.yieldTo(() => {
        perTurn.push(messages - before);
        before = messages;
        resume();
      });
    },
  });
  return { system, settle: manual.settle, perTurn };
}

Deno.test("the event loop turns after at most 1,024 messages of a flood", async () => {
  const { system, settle, perTurn } = counting(0);
  const probe = startProbe(system, { kind: floodKind });
  for (let n = 0; n < 5_000; n++) probe.note("x");
  await settle();
  assert.equal(Math.max(...perTurn), 1_024);
  assert.equal(perTurn.reduce((sum, count) => sum + count), 5_000);
});

Deno.test("the event loop turns after at most 1,024 messages of asks that chain without a pause", async () => {
  const { system, settle, perTurn } = counting(0);
  const probe = startProbe(system, { kind: floodKind });
  for (let n = 0; n < 5_000; n++) {
    await probe.ref.ask((reply) => ({ type: "heard", reply }));
  }
  await settle();
  assert.equal(Math.max(...perTurn), 1_024);
});

Deno.test("slow handlers keep the event loop for a few messages, not for a thousand", async () => {
  const { system, settle, perTurn } = counting(0.1);
  const probe = startProbe(system, { kind: floodKind });
  for (let n = 0; n < 500; n++) probe.note("x");
  await settle();
  assert.ok(Math.max(...perTurn) <= 32, `${Math.max(...perTurn)} messages of 0.1 ms`);
});

/** Starved timers are as late as the flood is long; what is less is the bench's to judge, on a quiet machine. */
const FLOOD_MS = 300;
const NOT_STARVED_MS = 50;

/** How late a 10 ms timer mostly is while `flood` runs. */
async function latenessUnder(flood: (isOver: () => boolean) => void): Promise<number> {
  const end = systemClock.now() + FLOOD_MS;
  const late: number[] = [];
  flood(() => systemClock.now() >= end);
  while (systemClock.now() < end) {
    const due = systemClock.now() + 10;
    await sleep(systemClock, 10);
    late.push(systemClock.now() - due);
  }
  return late.toSorted((a, b) => a - b)[late.length >> 1] ?? Infinity;
}

Deno.test("timers run while two actors flood each other", async () => {
  const system = newSystem({ clock: systemClock, log: silentLog });
  const ping = startProbe(system, { id: "ping", kind: floodKind });
  const pong = startProbe(system, { id: "pong", kind: floodKind });
  const late = await latenessUnder((isOver) => {
    const hit = (): void => {
      if (!isOver()) pong.act(() => ping.act(hit));
    };
    ping.act(hit);
  });
  assert.ok(late <= NOT_STARVED_MS, `${late} ms late`);
  assert.ok(system.metrics().schedulerYields > 0);
  await system.shutdown();
});

Deno.test("timers run while asks chain without a pause", async () => {
  const system = newSystem({ clock: systemClock, log: silentLog });
  const probe = startProbe(system);
  const chains: Promise<void>[] = [];
  const late = await latenessUnder((isOver) => {
    async function chain(): Promise<void> {
      while (!isOver()) await probe.ref.ask((reply) => ({ type: "heard", reply }));
    }
    chains.push(chain());
  });
  await Promise.all(chains);
  assert.ok(late <= NOT_STARVED_MS, `${late} ms late`);
  await system.shutdown();
});

Deno.test("an actor that crashes at every start does not keep the event loop", async () => {
  const system = newSystem({ clock: systemClock, log: silentLog });
  const probe = startProbe(system, {
    kind: probeKind({ intensity: { restarts: Infinity, withinMs: 10 } }),
    init() {
      throw new Error("always");
    },
  });
  await sleep(systemClock, 5);
  system.stop("probe", "p", "test");
  await sleep(systemClock, 1);
  assert.equal(probe.stops.length, 1);
  await system.shutdown();
});
