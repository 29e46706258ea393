/** Mailboxes: the order of lanes, their bounds, and what happens beyond. */

import assert from "node:assert/strict";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { probeKind, startProbe } from "./probe.ts";

Deno.test("control goes before media, and each lane keeps its order", async () => {
  const { system, settle } = actorKit();
  const probe = startProbe(system);
  probe.ref.send({ type: "frame", n: 1 });
  probe.note("a");
  probe.ref.send({ type: "frame", n: 2 });
  probe.note("b");
  await settle();
  assert.deepEqual(probe.events, ["init", "a", "b", "frame 1", "frame 2"]);
});

Deno.test("a stop rides the system lane: it goes before messages that wait longer", async () => {
  const { system, settle } = actorKit();
  const probe = startProbe(system);
  await settle();
  probe.note("a");
  assert.equal(system.stop("probe", "p", "test"), true);
  await settle();
  assert.deepEqual(probe.events, ["init", "stopped: asked"]);
  assert.deepEqual(probe.stops, [{ type: "asked", why: "test" }]);
  assert.equal(system.metrics().deadLetters.stopped, 1);
});

Deno.test("a full control lane refuses: send says false, an ask rejects, both are dead letters", async () => {
  const { system, settle } = actorKit();
  const probe = startProbe(system, { kind: probeKind({ controlMax: 2 }) });
  assert.deepEqual(["a", "b", "c"].map(probe.note), [true, true, false]);
  const asked = probe.ref.ask((reply) => ({ type: "heard", reply }));
  await assert.rejects(asked, { name: "AppError", code: "mailbox_full", retryable: true });
  await settle();
  assert.deepEqual(probe.events, ["init", "a", "b"]);
  const letters = system.deadLetters().map((
    { kind, id, type, reason },
  ) => [kind, id, type, reason]);
  assert.deepEqual(letters, [["probe", "p", "heard", "full"], ["probe", "p", "note", "full"]]);
});

Deno.test("a full media lane drops its oldest and counts it", async () => {
  const { system, settle } = actorKit();
  const probe = startProbe(system);
  for (let n = 1; n <= 5; n++) assert.equal(probe.ref.send({ type: "frame", n }), true);
  await settle();
  assert.deepEqual(probe.events, ["init", "frame 3", "frame 4", "frame 5"]);
  const seen = system.inspect("probe", "p")?.lastMessages;
  assert.equal(seen?.length, 3); // what was dropped was not handled
  const metrics = system.metrics();
  assert.equal(metrics.kinds["probe"]?.mediaDropped, 2);
  assert.equal(metrics.deadLetters.full, 0);
});

Deno.test("what an actor has started itself is never refused by its own full lane", async () => {
  const { system, settle } = actorKit();
  const probe = startProbe(system, { kind: probeKind({ controlMax: 1 }) });
  await settle();
  probe.act((ctx) => {
    ctx.run("one", () => Promise.resolve("one"), () => ({ type: "note", text: "one" }));
    ctx.run("two", () => Promise.resolve("two"), () => ({ type: "note", text: "two" }));
    ctx.self.send({ type: "note", text: "fills the lane" });
  });
  await settle();
  assert.deepEqual(probe.events, ["init", "fills the lane", "one", "two"]);
});

Deno.test("dead letters are bounded and their counts are not", async () => {
  const { system, settle } = actorKit();
  const probe = startProbe(system);
  system.stop("probe", "p", "test");
  await settle();
  for (let n = 0; n < 1_500; n++) assert.equal(probe.note("late"), false);
  assert.equal(system.deadLetters().length, 1_000);
  assert.equal(system.metrics().deadLetters.stopped, 1_500);
});
