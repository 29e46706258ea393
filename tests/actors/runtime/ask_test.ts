/** Asks: answers, deadlines, aborts, and what happens to a question that has not begun. */

import assert from "node:assert/strict";
import type { Reply } from "@/actors/runtime/actor.ts";
import { AppError } from "@/lib/errors.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { type Probe, type ProbeMessage, startProbe } from "./probe.ts";

/** A question that nobody answers, but that counts how often it was handled. */
function unanswered(probe: Probe): (reply: Reply<string>) => ProbeMessage {
  return () => ({ type: "act", act: () => void probe.events.push("handled") });
}

/** A probe whose mailbox is held until `release`. */
async function held() {
  const kit = actorKit();
  const probe = startProbe(kit.system);
  const { promise, resolve: release } = Promise.withResolvers<void>();
  probe.act((ctx) => ctx.hold("gate", () => promise, () => ({ type: "note", text: "open" })));
  await kit.settle();
  return { ...kit, probe, release };
}

Deno.test("an ask is answered after everything sent before it", async () => {
  const { system } = actorKit();
  const probe = startProbe(system);
  probe.note("a");
  probe.note("b");
  const heard = await probe.ref.ask<readonly string[]>((reply) => ({ type: "heard", reply }));
  assert.deepEqual(heard, ["init", "a", "b"]);
});

Deno.test("past its deadline an ask rejects with an unknown outcome, never early and at most 10 ms late", async () => {
  const { system, clock } = actorKit();
  const probe = startProbe(system);
  await clock.advance(3);
  const outcomes: unknown[] = [];
  const asked = probe.ref.ask(unanswered(probe), { timeoutMs: 100 });
  asked.catch((error) => outcomes.push(error));
  await clock.advance(99.9);
  assert.equal(outcomes.length, 0);
  await clock.advance(10.1);
  const [error] = outcomes;
  assert.ok(error instanceof AppError && error.code === "unknown_outcome");
  assert.equal(system.metrics().asksExpired, 1);
});

Deno.test("a deadline may be absolute, and one that has passed asks nothing", async () => {
  const { system, clock } = actorKit();
  const probe = startProbe(system);
  await clock.advance(1_000);
  const late = probe.ref.ask(unanswered(probe), { deadline: 1_000 });
  await assert.rejects(late, { code: "unknown_outcome" });
  const soon = assert.rejects(probe.ref.ask(unanswered(probe), { deadline: 1_050 }));
  await clock.advance(60);
  await soon;
  assert.deepEqual(probe.events, ["init", "handled"]);
});

Deno.test("an ask without a deadline of its own waits five seconds, and longer ones wait longer than a round of the wheel", async () => {
  const { system, clock } = actorKit();
  const probe = startProbe(system);
  const settled: string[] = [];
  probe.ref.ask(unanswered(probe)).catch(() => settled.push("default"));
  probe.ref.ask(unanswered(probe), { timeoutMs: 17_000 }).catch(() => settled.push("long"));
  await clock.advance(4_999);
  assert.deepEqual(settled, []);
  await clock.advance(11);
  assert.deepEqual(settled, ["default"]);
  await clock.advance(11_980);
  assert.deepEqual(settled, ["default"]);
  await clock.advance(30);
  assert.deepEqual(settled, ["default", "long"]);
  await clock.advance(10);
  assert.equal(clock.armed, 0);
});

Deno.test("a queued ask that expires is taken out of the queue and never handled", async () => {
  const { clock, probe, release, system, settle } = await held();
  const asked = assert.rejects(probe.ref.ask(unanswered(probe), { timeoutMs: 50 }));
  probe.note("stays");
  await clock.advance(60);
  await asked;
  assert.equal(system.inspect("probe", "p")?.depth.control, 1);
  release();
  await settle();
  assert.deepEqual(probe.events, ["init", "open", "stays"]);
});

Deno.test("an aborted ask rejects with the signal's reason and is never handled", async () => {
  const { probe, release, settle } = await held();
  const controller = new AbortController();
  const asked = probe.ref.ask(unanswered(probe), { signal: controller.signal });
  controller.abort(new Error("hung up"));
  await assert.rejects(asked, /hung up/);
  release();
  await settle();
  assert.deepEqual(probe.events, ["init", "open"]);
  await assert.rejects(probe.ref.ask(unanswered(probe), { signal: controller.signal }), /hung up/);
});

Deno.test("the first answer counts, and a handler may fail an ask with an AppError", async () => {
  const { system } = actorKit();
  const probe = startProbe(system);
  const question = (answer: (reply: Reply<string>) => void) =>
    probe.ref.ask<string>((reply) => ({ type: "act", act: () => answer(reply) }));
  const twice = question((reply) => {
    reply("first");
    reply("second");
    reply.fail(new AppError("busy", "late"));
  });
  assert.equal(await twice, "first");
  await assert.rejects(question((reply) => reply.fail(new AppError("busy", "no"))), {
    code: "busy",
  });
});

Deno.test("an ask to an actor that stops before answering rejects with actor_stopped", async () => {
  const { system, probe } = await held();
  const asked = probe.ref.ask(unanswered(probe));
  system.stop("probe", "p", "test");
  await assert.rejects(asked, { code: "actor_stopped" });
  await assert.rejects(probe.ref.ask(unanswered(probe)), { code: "actor_stopped" });
});

Deno.test("asking itself is an error at once and not a dead-lock", async () => {
  const { system, settle } = actorKit();
  const probe = startProbe(system);
  const errors: unknown[] = [];
  const askItself = (): Promise<unknown> => probe.ref.ask((reply) => ({ type: "heard", reply }));
  probe.act(() => void askItself().catch((error) => errors.push(error)));
  await settle();
  probe.act((ctx) =>
    ctx.hold("self", () => askItself().catch((error) => errors.push(error)), () => {
      return { type: "note", text: "held" };
    })
  );
  await settle();
  assert.deepEqual(errors.map(String), [
    'Error: Actor probe "p" asks itself and would wait for ever',
    'Error: Actor probe "p" asks itself and would wait for ever',
  ]);
  assert.equal(probe.events.at(-1), "held");
});

Deno.test("work of an actor may ask its own actor, whose mailbox is open", async () => {
  const { system, settle } = actorKit();
  const probe = startProbe(system);
  probe.act((ctx) =>
    ctx.run(
      "ask",
      () => ctx.self.ask<readonly string[]>((reply) => ({ type: "heard", reply })),
      (outcome) => ({ type: "note", text: outcome.ok ? "answered" : "failed" }),
    )
  );
  await settle();
  assert.deepEqual(probe.events, ["init", "answered"]);
});
