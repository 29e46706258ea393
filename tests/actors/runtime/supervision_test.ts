/** Supervision: restarts, backoff, poison, escalation, and the order in which a family ends. */

import assert from "node:assert/strict";
import { judge } from "@/actors/runtime/supervisor.ts";
import { type ActorKit, actorKit, prng } from "@/tests/support/actor_kit.ts";
import { newRecord, type Probe, probeKind, probeOf, startProbe } from "./probe.ts";

/** A parent with one child, that is told when the child ends. */
async function family(kit: ActorKit, childKind = probeKind({ name: "child" })) {
  const child = newRecord();
  const parent = startProbe(kit.system, {
    kind: probeKind({ name: "parent" }),
    init(ctx) {
      ctx.spawn(childKind, "c", child.make, {
        stopped: (reason) => ({ type: "note", text: `child ${reason.type}` }),
      });
    },
  });
  await kit.settle();
  const ref = kit.system.find(childKind, "c");
  assert.ok(ref !== null);
  return { parent, child: probeOf(ref, child), childKind };
}

async function crash(kit: ActorKit, probe: Probe): Promise<void> {
  probe.note("boom");
  await kit.settle();
}

Deno.test("a restart keeps the ref and the mailbox, and tells init why", async () => {
  const kit = actorKit();
  const probe = startProbe(kit.system);
  for (const text of ["a", "boom", "b"]) probe.note(text);
  await kit.settle();
  assert.deepEqual(probe.events, ["init", "a", "boom", "stopped: crashed", "again", "b"]);
  assert.equal(probe.restarts[0]?.count, 1);
  assert.match(String(probe.restarts[0]?.error), /boom/);
  assert.deepEqual(probe.stops, []);
});

Deno.test("a message that crashes its handler is tried again, then becomes a dead letter", async () => {
  const kit = actorKit();
  const probe = startProbe(kit.system, { kind: probeKind({ poisonTries: 3 }) });
  probe.note("boom");
  probe.note("after");
  await kit.settle();
  assert.deepEqual(probe.events.filter((event) => event === "boom").length, 3);
  assert.equal(probe.events.at(-1), "after");
  assert.deepEqual(kit.system.deadLetters().map(({ reason }) => reason), ["poison"]);
});

Deno.test("an ask that poisons its actor rejects with an unknown outcome", async () => {
  const kit = actorKit();
  const probe = startProbe(kit.system);
  const asked = probe.ref.ask(() => ({ type: "note", text: "boom" }));
  await assert.rejects(asked, { code: "unknown_outcome" });
});

Deno.test("more crashes within the window than its kind forgives, and a root actor is given up", async () => {
  const kit = actorKit();
  const probe = startProbe(kit.system, {
    kind: probeKind({ intensity: { restarts: 2, withinMs: 1_000 } }),
  });
  await crash(kit, probe);
  await crash(kit, probe);
  assert.deepEqual(probe.stops, []);
  await crash(kit, probe);
  assert.deepEqual(probe.stops.map(({ type }) => type), ["crashed"]);
  assert.equal(kit.system.count("probe"), 0);
  assert.equal(probe.note("late"), false);
  assert.equal(kit.logged.filter((line) => line.includes("actor crashed")).length, 3);
});

Deno.test("crashes older than the window are forgotten", async () => {
  const kit = actorKit();
  const probe = startProbe(kit.system, {
    kind: probeKind({ intensity: { restarts: 1, withinMs: 1_000 } }),
  });
  for (let i = 0; i < 5; i++) {
    await crash(kit, probe);
    await kit.clock.advance(1_000);
  }
  assert.deepEqual(probe.stops, []);
  assert.deepEqual(probe.restarts.map(({ count }) => count), [1, 1, 1, 1, 1]);
});

Deno.test("backoff doubles up to its maximum, with full jitter from the seed", () => {
  const kind = probeKind({
    intensity: { restarts: 10, withinMs: 1_000 },
    backoff: { minMs: 100, maxMs: 1_000 },
  });
  const times = [0, 0, 0, 0, 0, 0];
  const ceilings = times.map((_, i) => judge(kind, times.slice(0, i + 1), () => 1));
  const backoffs = ceilings.map((verdict) => verdict.type === "restart" && verdict.backoffMs);
  assert.deepEqual(backoffs, [100, 200, 400, 800, 1_000, 1_000]);
  const jittered = [prng(1), prng(1), prng(2)].map((random) => judge(kind, [0, 0, 0], random));
  assert.deepEqual(jittered[0], jittered[1]);
  assert.notDeepEqual(jittered[0], jittered[2]);
});

Deno.test("during its backoff an actor takes messages, handles none, and can be stopped", async () => {
  const kit = actorKit();
  const kind = probeKind({ backoff: { minMs: 1_000, maxMs: 1_000 } });
  const probe = startProbe(kit.system, { kind });
  await crash(kit, probe);
  assert.equal(probe.note("waits"), true);
  await kit.settle();
  assert.equal(probe.events.at(-1), "stopped: crashed");
  await kit.clock.advance(1_000);
  assert.equal(probe.events.at(-1), "waits");
  await crash(kit, probe);
  kit.system.stop("probe", "p", "test");
  await kit.settle();
  assert.deepEqual(probe.stops, [{ type: "asked", why: "test" }]);
  assert.equal(kit.clock.armed, 0);
});

Deno.test("a temporary actor is not restarted, a transient one only after a crash, a permanent one always", async () => {
  const ends = async (restart: "permanent" | "transient" | "temporary", isCrash: boolean) => {
    const kit = actorKit();
    const probe = startProbe(kit.system, { kind: probeKind({ restart }) });
    if (isCrash) probe.note("boom");
    else probe.act((ctx) => ctx.stop());
    await kit.settle();
    return [probe.events.at(-1), ...probe.stops.map(({ type }) => type)];
  };
  assert.deepEqual(await ends("temporary", true), ["stopped: crashed", "crashed"]);
  assert.deepEqual(await ends("temporary", false), ["stopped: done", "done"]);
  assert.deepEqual(await ends("transient", true), ["again"]);
  assert.deepEqual(await ends("transient", false), ["stopped: done", "done"]);
  assert.deepEqual(await ends("permanent", true), ["again"]);
  assert.deepEqual(await ends("permanent", false), ["again"]);
});

Deno.test("children are stopped before their parent restarts", async () => {
  const kit = actorKit();
  const { parent, child } = await family(kit);
  await crash(kit, parent);
  assert.deepEqual(child.events, ["init", "stopped: shutdown", "init"]);
  assert.deepEqual(parent.events, ["init", "boom", "stopped: crashed", "again"]);
});

Deno.test("a child that crashes restarts in place and its parent goes on", async () => {
  const kit = actorKit();
  const { parent, child } = await family(kit);
  await crash(kit, child);
  child.note("hello");
  await kit.settle();
  assert.deepEqual(child.events, ["init", "boom", "stopped: crashed", "again", "hello"]);
  assert.deepEqual(parent.events, ["init"]);
});

Deno.test("a child past its intensity takes its crash up to the parent, which handles it once", async () => {
  const kit = actorKit();
  const kind = probeKind({ name: "child", intensity: { restarts: 0, withinMs: 1_000 } });
  const { parent, child } = await family(kit, kind);
  await crash(kit, child);
  assert.deepEqual(parent.events, ["init", "stopped: crashed", "again"]);
  assert.equal(parent.restarts.length, 1);
  assert.deepEqual(child.events, ["init", "boom", "stopped: crashed", "init"]);
});

Deno.test("a parent is told when a child ends for good, and not when it restarts", async () => {
  const kit = actorKit();
  const { parent, child } = await family(kit);
  await crash(kit, child);
  child.act((ctx) => ctx.stop());
  await kit.settle();
  assert.deepEqual(parent.events, ["init", "child done"]);
});

Deno.test("a temporary child that crashes is an end, not a crash of its parent", async () => {
  const kit = actorKit();
  const { parent, child } = await family(kit, probeKind({ name: "child", restart: "temporary" }));
  await crash(kit, child);
  assert.deepEqual(parent.events, ["init", "child crashed"]);
});

Deno.test("a stopped child's id is free at once", async () => {
  const kit = actorKit();
  const { parent, child, childKind } = await family(kit);
  const second = newRecord();
  parent.act((ctx) => {
    ctx.stopChild(child.ref, "replaced");
    ctx.spawn(childKind, "c", second.make);
  });
  await kit.settle();
  assert.deepEqual(child.events, ["init", "stopped: asked"]);
  assert.deepEqual(second.events, ["init"]);
  assert.deepEqual(parent.events, ["init", "child asked"]);
});

Deno.test("a throw in init, view or the last words stays with its actor", async () => {
  const kit = actorKit();
  const bad = startProbe(kit.system, {
    id: "bad",
    init: () => {
      throw new Error("init");
    },
    kind: probeKind({ intensity: { restarts: 2, withinMs: 1_000 } }),
  });
  const sound = startProbe(kit.system, {
    id: "sound",
    kind: probeKind({ name: "other" }),
    lastWords: () => {
      throw new Error("last words");
    },
  });
  await kit.settle();
  assert.deepEqual(bad.stops.map(({ type }) => type), ["crashed"]);
  assert.equal(bad.events.length, 3);
  kit.system.stop("other", "sound", "test");
  await kit.settle();
  assert.deepEqual(sound.stops, [{ type: "asked", why: "test" }]);
});

Deno.test("a stop that an actor asks for in the handler that crashes does not stop its next life", async () => {
  const kit = actorKit();
  const probe = startProbe(kit.system);
  probe.act((ctx) => {
    ctx.stop();
    throw new Error("boom");
  });
  await kit.settle();
  assert.deepEqual(probe.events, ["init", "stopped: crashed", "again"]);
});

Deno.test("escalation climbs until an ancestor has restarts left, else the root ends", async () => {
  const kit = actorKit();
  const frail = { intensity: { restarts: 0, withinMs: 1_000 } };
  const [parentKind, childKind] = ["middle", "leaf"].map((name) => probeKind({ name, ...frail }));
  assert.ok(parentKind !== undefined && childKind !== undefined);
  const leaf = newRecord();
  const middle = newRecord({ init: (ctx) => void ctx.spawn(childKind, "l", leaf.make) });
  const root = startProbe(kit.system, {
    kind: probeKind({ intensity: { restarts: 1, withinMs: 1_000 } }),
    init: (ctx) => void ctx.spawn(parentKind, "m", middle.make),
  });
  for (let i = 0; i < 2; i++) {
    await kit.settle();
    kit.system.find(childKind, "l")?.send({ type: "note", text: "boom" });
  }
  await kit.settle();
  assert.deepEqual(root.events, ["init", "stopped: crashed", "again", "stopped: crashed"]);
  assert.deepEqual(root.stops.map(({ type }) => type), ["crashed"]);
  assert.deepEqual(kit.system.list(), []);
});
