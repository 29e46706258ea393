/** A desk: how much it takes on, what becomes of errands and of a crash, and that no line of the machine is lost. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { callKind } from "@/actors/call/call.ts";
import { IN_FLIGHT_MAX, WAITING_MAX } from "@/actors/desk/desk.ts";
import type { Agent } from "@/actors/desk/desk_deps.ts";
import { errand } from "@/actors/desk/errand.ts";
import { AGENT, AWAY, gateway, setUp, TENANT } from "@/tests/support/desk_kit.ts";

Deno.test("a desk works on so much at a time, lets so much wait, and refuses the rest as busy", async () => {
  const { pass, waiting } = gateway<null>();
  const errands = { slow: errand("calls:read", () => pass()) };
  const { run, settle, view } = setUp({ deps: { errands } });
  const asked = Array.from({ length: IN_FLIGHT_MAX + WAITING_MAX + 3 }, () => run("slow", null));
  const settled = Promise.allSettled(asked);
  await settle();
  assert.deepEqual(view(), {
    inFlight: IN_FLIGHT_MAX,
    waiting: WAITING_MAX,
    refusedCount: 3,
  });
  assert.equal(waiting.length, IN_FLIGHT_MAX);
  for (let at = 0; at < IN_FLIGHT_MAX + WAITING_MAX; at++) {
    waiting[at]?.resolve(null);
    await settle();
  }
  const outcomes = await settled;
  assert.equal(outcomes.filter((it) => it.status === "fulfilled").length, 272);
  for (const outcome of outcomes.slice(-3)) {
    assert.equal(outcome.status === "rejected" && outcome.reason.code, "busy");
  }
  assert.deepEqual(view(), { inFlight: 0, waiting: 0, refusedCount: 3 });
});

Deno.test("a ring that finds the desk full is busy, and its line is free again", async () => {
  const { pass, waiting } = gateway<Agent | null>();
  const { ring, settle, machine } = setUp({ lines: 1_000, deps: { agent: pass } });
  const asked = Array.from({ length: IN_FLIGHT_MAX + WAITING_MAX + 1 }, (_, at) => ring(`CA${at}`));
  const settled = Promise.allSettled(asked);
  await settle();
  assert.deepEqual(await asked.at(-1), { type: "busy" });
  assert.equal(machine.taken, IN_FLIGHT_MAX + WAITING_MAX);
  for (let at = 0; at < IN_FLIGHT_MAX + WAITING_MAX; at++) {
    waiting[at]?.resolve(null);
    await settle();
  }
  await settled;
  assert.equal(machine.taken, 0);
});

Deno.test("an errand is run for who has its scope, with an office of the desk's tenant", async () => {
  const { ask, run } = setUp({
    deps: {
      errands: {
        double: errand(
          "calls:read",
          ({ tenantId, by, request }, { n }: { n: number }) =>
            Promise.resolve({ n: n * 2, tenantId, by: by.id, requestId: request.requestId }),
        ),
      },
    },
  });
  assert.deepEqual(await ask(run("double", { n: 21 })), {
    n: 42,
    tenantId: TENANT,
    by: "key_1",
    requestId: "r1",
  });
  await assert.rejects(ask(run("double", { n: 21 }, ["calls:write"])), { code: "forbidden" });
});

Deno.test("a bug in an errand is its asker's alone: calls and other errands go on", async () => {
  const { pass, waiting } = gateway<string>();
  const { settle, run, ring, ask } = setUp({
    deps: {
      errands: {
        broken: errand("calls:read", () => Promise.reject(new TypeError("planted"))),
        slow: errand("calls:read", () => pass()),
      },
    },
  });
  const slow = run("slow", null);
  await assert.rejects(ask(run("broken", null)), { code: "internal" });
  waiting[0]?.resolve("done");
  await settle();
  assert.equal(await slow, "done");
  assert.equal((await ask(ring("CA1"))).type, "connect");
});

Deno.test("a desk that crashes answers who waits at once, and loses no line", async () => {
  const { pass, waiting } = gateway<Agent | null>();
  const { ring, settle, machine, clock } = setUp({ lines: 100, deps: { agent: pass } });
  const asked = Array.from({ length: IN_FLIGHT_MAX + 5 }, (_, at) => ring(`CA${at}`));
  const settled = Promise.allSettled(asked);
  await settle();
  waiting[3]?.reject(new TypeError("planted")); // no AppError: a bug
  await settle();
  assert.equal(machine.taken, 0);
  const outcomes = await settled;
  assert.ok(outcomes.every((it) => it.status === "rejected" && it.reason.code === "actor_stopped"));
  await clock.advance(1_000);
  void ring("CA1000").catch(() => {});
  await settle();
  assert.equal(machine.taken, 1); // it works again
  for (const { resolve } of waiting) resolve(null);
  await settle();
  assert.equal(machine.taken, 0);
});

Deno.test("lines taken are the calls that live, whatever happens in whatever order", async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant("ring"), sid: fc.nat(12) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("place"), sid: fc.constant(0) }) },
    { weight: 6, arbitrary: fc.record({ type: fc.constant("settle"), sid: fc.nat(40) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("fail"), sid: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("bug"), sid: fc.nat(40) }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("end"), sid: fc.nat(12) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("drain"), sid: fc.constant(0) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { pass, waiting } = gateway<Agent | null>();
      const { ring, place, machine, system, settle, clock, live } = setUp({
        lines: 6,
        deps: { agent: pass },
      });
      const asked: Promise<unknown>[] = [];
      for (const { type, sid } of steps) {
        const entry = waiting[sid % Math.max(1, waiting.length)];
        if (type === "ring") asked.push(ring(`CA${sid}`, sid % 4 === 0 ? null : AGENT.agentId));
        else if (type === "place") asked.push(place());
        else if (type === "settle") entry?.resolve(sid % 5 === 0 ? null : AGENT);
        else if (type === "fail") entry?.reject(AWAY);
        else if (type === "bug") entry?.reject(new TypeError("planted"));
        else if (type === "drain") machine.draining = true;
        else {system.list(callKind.name).slice(0, 1).forEach(({ id }) =>
            system.find(callKind, id)?.send({ type: "hangUp" })
          );}
        for (const answer of asked) answer.catch(() => {});
        await settle();
        assert.ok(machine.taken >= live() && machine.taken <= machine.lines);
      }
      for (let left = -1; left !== waiting.length;) {
        left = waiting.length;
        for (const { resolve } of waiting) resolve(AGENT);
        await clock.advance(1_000); // a desk that crashed comes back
      }
      await Promise.allSettled(asked);
      assert.equal(machine.taken, live());
    }),
    { numRuns: 100, seed: 20260105 },
  );
});
