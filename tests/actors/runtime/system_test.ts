/** A system's actors: addresses, passivation, drain and shutdown. */

import assert from "node:assert/strict";
import type { Context, Ref } from "@/actors/runtime/actor.ts";
import { AppError } from "@/lib/errors.ts";
import { sleep } from "@/lib/clock.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { newRecord, probeKind, type ProbeMessage, startProbe } from "./probe.ts";

const deskKind = probeKind({ name: "desk", passivateAfterMs: 1_000 });
const callKind = probeKind({ name: "call" });
const childKind = probeKind({ name: "child" });

function setUp() {
  const kit = actorKit();
  const desks = newRecord();
  kit.system.register(deskKind, desks.make);
  const desk = kit.system.at(deskKind, "t1");
  const note = (text: string, ref: Ref<ProbeMessage> = desk) => ref.send({ type: "note", text });
  return { ...kit, desks, desk, note };
}

Deno.test("the first message to an address of a registered kind brings its actor to life", async () => {
  const { system, desks, note, settle } = setUp();
  await settle();
  assert.equal(system.count("desk"), 0);
  assert.equal(note("hello"), true);
  await settle();
  assert.equal(system.count("desk"), 1);
  assert.deepEqual(desks.events, ["init", "hello"]);
});

Deno.test("all addresses of one id reach one actor", async () => {
  const { system, desks, note, settle } = setUp();
  const other = system.at(deskKind, "t1");
  note("a");
  note("b", other);
  note("c", system.at(deskKind, "t1"));
  await settle();
  assert.deepEqual(desks.events, ["init", "a", "b", "c"]);
});

Deno.test("an idle actor passivates, and its next message brings it back by any ref", async () => {
  const { system, desks, desk, note, clock, settle } = setUp();
  note("a");
  await clock.advance(999);
  note("b"); // the idle time starts anew
  await clock.advance(999);
  assert.equal(system.count("desk"), 1);
  await clock.advance(10);
  assert.equal(system.count("desk"), 0);
  assert.equal(clock.armed, 0);
  note("c");
  await settle();
  assert.deepEqual(desks.events, ["init", "a", "b", "stopped: idle", "init", "c"]);
  assert.equal(system.find(deskKind, desk.id) !== null, true);
});

Deno.test("an ask through an address of long ago is withdrawn and knows itself as well", async () => {
  const { system, desks, desk, note, clock, settle } = setUp();
  note("a");
  await clock.advance(2_000); // passivated
  note("b");
  const errors: unknown[] = [];
  const askAgain = (): Promise<unknown> => desk.ask((reply) => ({ type: "heard", reply }));
  desk.send({ type: "act", act: () => void askAgain().catch((error) => errors.push(error)) });
  await settle();
  assert.match(String(errors), /asks itself/);
  desk.send({
    type: "act",
    act: (ctx) => ctx.hold("x", () => sleep(clock, 100), () => ({ type: "note", text: "x" })),
  });
  await settle();
  const controller = new AbortController();
  const asked = assert.rejects(
    desk.ask(() => ({ type: "note", text: "never" }), { signal: controller.signal }),
  );
  assert.equal(system.inspect("desk", "t1")?.depth.control, 1);
  controller.abort(new Error("enough"));
  await asked;
  assert.equal(system.inspect("desk", "t1")?.depth.control, 0);
  await clock.advance(100);
  assert.deepEqual(desks.events, ["init", "a", "stopped: idle", "init", "b", "x"]);
});

Deno.test("an actor with work, a timer or a child of its own is not idle", async () => {
  const { system, desk, clock } = setUp();
  const child = newRecord();
  desk.send({
    type: "act",
    act(ctx) {
      ctx.timer("t", 2_500, { type: "note", text: "tick" });
      ctx.spawn(callKind, "c", child.make);
    },
  });
  await clock.advance(5_000);
  assert.equal(system.count("desk"), 1);
  system.stop("call", "c", "test");
  await clock.advance(2_000);
  assert.equal(system.count("desk"), 0);
});

Deno.test("an id lives once in its kind, and a kind that passivates must be registered", () => {
  const { system } = actorKit();
  startProbe(system, { id: "p" });
  assert.throws(() => startProbe(system, { id: "p" }), /Actor probe "p" is alive already/);
  assert.throws(
    () => startProbe(system, { kind: deskKind }),
    /Kind "desk" passivates but is not registered/,
  );
  assert.throws(() => system.at(callKind, "c"), /Kind "call" is not registered/);
  assert.throws(
    () => startProbe(system, { kind: probeKind({ name: "bad", controlMax: 0 }) }),
    /bound below 1/,
  );
  assert.throws(() => system.find(probeKind(), "p"), /Two kinds are named "probe"/);
});

Deno.test("while it drains, spawns and sends from outside fail fast, and live actors go on", async () => {
  const { system, settle, clock } = setUp();
  const a = startProbe(system, { id: "a" });
  const b = startProbe(system, { id: "b" });
  await settle();
  a.act((ctx) => {
    ctx.timer("later", 10, {
      type: "act",
      act: () => void b.note("from an actor"),
    });
  });
  await settle();
  system.drain();
  assert.throws(() => startProbe(system, { id: "c" }), { name: "AppError", code: "draining" });
  assert.equal(a.note("from outside"), false);
  const asked = a.ref.ask((reply) => ({ type: "heard", reply }));
  await assert.rejects(asked, { code: "draining", retryable: true });
  await clock.advance(10);
  assert.deepEqual(b.events, ["init", "from an actor"]);
  assert.equal(system.metrics().deadLetters.draining, 2);
});

Deno.test("while it drains, guarded callbacks, work and children of actors go on, and so do the kinds it still serves", async () => {
  const { system, clock, settle, desks, note } = setUp();
  const recorder = startProbe(system, { id: "recorder" });
  const child = newRecord();
  const callbacks: (() => void)[] = [];
  const call = startProbe(system, {
    kind: callKind,
    init(ctx) {
      callbacks.push(ctx.guard(() => ({ type: "note", text: "frame" })));
      ctx.timer("later", 10, { type: "act", act: goOn });
    },
  });
  function goOn(ctx: Context<ProbeMessage>): void {
    ctx.spawn(childKind, "c", child.make);
    const save = async (): Promise<readonly string[]> => {
      await sleep(clock, 10);
      return await recorder.ref.ask((reply) => ({ type: "heard", reply }));
    };
    ctx.run("save", save, ({ ok }) => ({ type: "note", text: ok ? "saved" : "lost" }));
  }
  await settle();
  system.drain({ serves: ["desk"] });
  for (const callback of callbacks) callback();
  note("still served");
  await clock.advance(20);
  assert.equal(call.note("not served"), false);
  assert.deepEqual(call.events, ["init", "frame", "saved"]);
  assert.deepEqual(desks.events, ["init", "still served"]);
  assert.deepEqual(child.events, ["init"]);
});

Deno.test("shutdown stops every actor, children first, and lets go of every timer", async () => {
  const { system, clock, settle, note } = setUp();
  const order: string[] = [];
  const leg = newRecord({ lastWords: () => order.push("leg") });
  const call = startProbe(system, {
    kind: callKind,
    init: (ctx) => void ctx.spawn(probeKind({ name: "leg" }), "l", leg.make),
    lastWords: () => order.push("call"),
  });
  call.act((ctx) => ctx.hold("x", () => sleep(clock, 1e6), () => ({ type: "note", text: "x" })));
  note("awake");
  await settle();
  const waiting = assert.rejects(
    call.ref.ask((reply) => ({ type: "heard", reply })),
    { code: "actor_stopped" },
  );
  await system.shutdown();
  await waiting;
  assert.deepEqual(order, ["leg", "call"]);
  assert.deepEqual(call.stops, [{ type: "shutdown" }]);
  assert.deepEqual(system.list(), []);
  assert.equal(system.phase, "stopped");
  assert.equal(clock.armed, 1); // the sleep that ignored its signal
});

Deno.test("shutdown ends what was started last first, so that services outlive their users", async () => {
  const { system, settle } = actorKit();
  const order: string[] = [];
  for (const name of ["recorder", "desk", "call"]) {
    startProbe(system, { kind: probeKind({ name }), lastWords: () => order.push(name) });
  }
  await settle();
  await system.shutdown();
  assert.deepEqual(order, ["call", "desk", "recorder"]);
});

Deno.test("a send during shutdown fails fast, also from last words, and nothing hangs", async () => {
  const { system, settle } = actorKit();
  const b = startProbe(system, { id: "b" });
  const outcomes: unknown[] = [];
  startProbe(system, {
    id: "a",
    lastWords() {
      outcomes.push(b.note("goodbye"));
      b.ref.ask((reply) => ({ type: "heard", reply })).catch((error) => outcomes.push(error));
    },
  });
  await settle();
  await system.shutdown();
  await settle();
  assert.equal(outcomes[0], false);
  assert.ok(outcomes[1] instanceof AppError && outcomes[1].code === "draining");
  assert.deepEqual(b.events, ["init", "stopped: shutdown"]);
});

Deno.test("an actor may ask for the shutdown of its own system", async () => {
  const { system } = actorKit();
  const probe = startProbe(system);
  const { promise, resolve } = Promise.withResolvers<void>();
  probe.act(() => {
    void system.shutdown().then(resolve);
    probe.events.push("handler goes on");
  });
  await promise;
  assert.deepEqual(probe.events, ["init", "handler goes on", "stopped: shutdown"]);
});
