/** The guarded door: a throw in a callback, timer or promise reaches its actor's supervisor and nothing else. */

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { newSystem } from "@/actors/runtime/system.ts";
import { containUnhandled } from "@/actors/runtime/unhandled.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { startProbe } from "./probe.ts";

/** A socket as far as its callbacks matter: it calls them from outside any actor. */
function setUp() {
  const kit = actorKit();
  const socket = new EventEmitter();
  const probe = startProbe(kit.system, {
    init(ctx) {
      const listen = ctx.guard((text: string) => {
        if (text === "garbage") throw new SyntaxError("garbage");
        return text === "" ? undefined : { type: "note", text };
      });
      socket.on("data", listen);
    },
    lastWords: () => void socket.removeAllListeners(),
  });
  return { ...kit, socket, probe };
}

Deno.test("what a guarded callback returns is sent to its actor", async () => {
  const { socket, probe, settle } = setUp();
  await settle();
  socket.emit("data", "hello");
  socket.emit("data", "");
  await settle();
  assert.deepEqual(probe.events, ["init", "hello"]);
});

Deno.test("a throw in a socket callback crashes its actor and nothing else", async () => {
  const { system, socket, probe, settle } = setUp();
  const other = startProbe(system, { id: "other" });
  await settle();
  socket.emit("data", "garbage"); // an unguarded throw would come out here
  other.note("lives on");
  await settle();
  assert.deepEqual(probe.events, ["init", "stopped: crashed", "again"]);
  assert.deepEqual(other.events, ["init", "lives on"]);
});

Deno.test("a life crashes once, however many of its callbacks throw", async () => {
  const { system, socket, probe, settle } = setUp();
  await settle();
  for (let i = 0; i < 5; i++) socket.emit("data", "garbage");
  await settle();
  assert.deepEqual(probe.events, ["init", "stopped: crashed", "again"]);
  assert.equal(system.metrics().kinds["probe"]?.crashes, 1);
});

Deno.test("a guarded callback belongs to the life that made it: after a crash it does nothing, nor does what it has sent", async () => {
  const kit = actorKit();
  const callbacks: (() => void)[] = [];
  let calls = 0;
  const probe = startProbe(kit.system, {
    init(ctx, restart) {
      const life = restart === undefined ? "first" : "second";
      callbacks.push(ctx.guard(() => {
        calls++;
        return { type: "note", text: life };
      }));
    },
  });
  await kit.settle();
  probe.note("boom");
  callbacks[0]?.(); // waits behind the message that will crash
  await kit.settle();
  callbacks[0]?.();
  callbacks[1]?.();
  await kit.settle();
  assert.deepEqual(probe.events, ["init", "boom", "stopped: crashed", "again", "second"]);
  assert.equal(calls, 2);
});

Deno.test("a callback that throws within the handler that triggered it crashes after that handler", async () => {
  const { socket, probe, settle } = setUp();
  await settle();
  probe.act(() => {
    socket.emit("data", "garbage");
    probe.events.push("handler goes on");
  });
  probe.note("next");
  await settle();
  assert.deepEqual(probe.events, ["init", "handler goes on", "stopped: crashed", "again", "next"]);
});

Deno.test("with real timers, sockets and promises the process and the other actors live on", async () => {
  const system = newSystem({ clock: systemClock, log: silentLog });
  const probes = ["a", "b", "c", "d"].map((id) => startProbe(system, { id }));
  const [timer, socket, promise, sound] = probes;
  const channel = new BroadcastChannel("guard_test");
  const sender = new BroadcastChannel("guard_test");
  const fail = (): never => {
    throw new Error("bug");
  };
  timer?.act((ctx) => void systemClock.timer(1, ctx.guard(fail)));
  socket?.act((ctx) => channel.addEventListener("message", ctx.guard(fail)));
  promise?.act((ctx) =>
    ctx.run("p", () => sleep(systemClock, 1).then(fail), () => ({ type: "note", text: "never" }))
  );
  await sleep(systemClock, 5);
  sender.postMessage("x");
  await sleep(systemClock, 20);
  const heard = await sound?.ref.ask<readonly string[]>((reply) => ({ type: "heard", reply }));
  assert.deepEqual(heard, ["init"]);
  for (const probe of [timer, socket, promise]) {
    assert.deepEqual(probe?.events, ["init", "stopped: crashed", "again"]);
  }
  channel.close();
  sender.close();
  await system.shutdown();
});

Deno.test("a promise that an actor's work leaves behind crashes that actor, and the process lives on", async () => {
  const { system, probe, settle } = setUp();
  const other = startProbe(system, { id: "other" });
  const contained = containUnhandled({
    clock: systemClock,
    log: silentLog,
    tooMany: () => assert.fail("one is not too many"),
  });
  probe.act((ctx) =>
    ctx.run(
      "leaves one behind",
      () => {
        void Promise.reject(new Error("nobody waits for this"));
        return new Promise<void>(() => {});
      },
      () => ({ type: "note", text: "never" }),
    )
  );
  await settle();
  await settle(); // the event comes a turn of the loop later
  assert.deepEqual(probe.events, ["init", "stopped: crashed", "again"]);
  assert.deepEqual(other.events, ["init"]);
  assert.deepEqual(contained.counts, { attributed: 1, unattributed: 0 });
  contained.release();
});

Deno.test("a promise that a handler leaves behind is not blamed on the actor whose work has woken it", async () => {
  const { system, probe, settle } = setUp();
  const other = startProbe(system, { id: "other" });
  const contained = containUnhandled({
    clock: systemClock,
    log: silentLog,
    tooMany: () => assert.fail("one is not too many"),
  });
  const wake = async (): Promise<void> => {
    await settle(); // the scheduler is at rest: this work wakes it
    other.act(() => void Promise.reject(new Error("nobody waits for this")));
  };
  probe.act((ctx) => ctx.run("wake", wake, () => ({ type: "note", text: "woken" })));
  for (let i = 0; i < 3; i++) await settle();
  assert.deepEqual(probe.events, ["init", "woken"]);
  assert.deepEqual(contained.counts, { attributed: 0, unattributed: 1 });
  contained.release();
});

Deno.test("a bug of the runtime itself is thrown, and the actors go on", async () => {
  const clock = manualClock();
  const contained = containUnhandled({ clock, log: silentLog, tooMany: () => {} });
  const system = newSystem({
    clock,
    log: silentLog,
    yieldTo: clock.yieldTo,
    trace(_kind, id) {
      if (id === "cursed") throw new Error("bug");
    },
  });
  const [cursed, sound] = ["cursed", "sound"].map((id) => startProbe(system, { id }));
  cursed?.note("x");
  sound?.note("y");
  await clock.settle();
  sound?.note("z");
  await clock.settle();
  assert.deepEqual(sound?.events, ["init", "y", "z"]);
  assert.deepEqual(contained.counts, { attributed: 0, unattributed: 1 });
  contained.release();
});

Deno.test("more than five unhandled errors within a minute are told once", async () => {
  const clock = manualClock();
  const target = new EventTarget();
  let told = 0;
  const contained = containUnhandled({ clock, log: silentLog, target, tooMany: () => told++ });
  const fail = (): void => {
    const event = new ErrorEvent("error", { error: new Error("stray"), cancelable: true });
    assert.equal(target.dispatchEvent(event), false); // prevented: the process would live
  };
  for (let i = 0; i < 5; i++) fail();
  await clock.advance(60_000);
  for (let i = 0; i < 5; i++) fail();
  assert.equal(told, 0);
  fail();
  fail();
  assert.equal(told, 1);
  assert.deepEqual(contained.counts, { attributed: 0, unattributed: 12 });
  contained.release();
});
