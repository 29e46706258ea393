/** The line of callers: by their coming within a tenant, fair between tenants, bounded, and nobody waits forever. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  GONE_MS,
  newQueue,
  type Queue,
  WAIT_MAX_MS,
  WAITING_MAX,
} from "@/actors/admission/queue.ts";
import { type Grant, newTokens } from "@/actors/admission/tokens.ts";
import { type ManualClock, manualClock } from "@/tests/support/manual_clock.ts";

function setUp(capacity = 2) {
  const clock = manualClock();
  const tokens = newTokens({
    capacity,
    keptPercent: 0,
    now: () => clock.now(),
    isShed: () => false,
  });
  const door = { isClosed: false };
  const queue = newQueue({ clock, heldBy: tokens.heldBy, isClosed: () => door.isClosed });
  const line = (tenantId: string, id: string | null = null): Grant | null => {
    const grant = tokens.take("inbound", tenantId, {
      leaving: queue.before(tenantId, id),
      isAgain: id !== null && queue.has(id),
    });
    if (grant !== null && id !== null) queue.leave(id);
    return grant;
  };
  return { clock, tokens, queue, door, line, wait: waiting(clock, queue) };
}

function waiting(clock: ManualClock, queue: Queue) {
  return (tenantId: string, carrierCallId: string, lacks: "line" | "slot" = "line") =>
    queue.wait({ tenantId, carrierCallId, sinceMs: clock.date().getTime(), lacks });
}

Deno.test("callers are told their place, again when it changes or after a while, and go in by their coming", async () => {
  const { clock, line, wait } = setUp();
  const held = [line("a"), line("a")];
  assert.deepEqual(wait("a", "one"), { position: 1, isTold: true });
  await clock.advance(1);
  assert.deepEqual(wait("a", "two"), { position: 2, isTold: true });
  await clock.advance(4_000);
  assert.deepEqual(wait("a", "one"), { position: 1, isTold: false });
  assert.deepEqual(wait("a", "two"), { position: 2, isTold: false });
  held[0]?.release();
  assert.equal(line("a"), null, "one who has just rung does not overtake");
  assert.equal(line("a", "two"), null);
  assert.notEqual(line("a", "one"), null);
  assert.deepEqual(wait("a", "two"), { position: 1, isTold: true });
  await clock.advance(GONE_MS);
  assert.deepEqual(wait("a", "two"), { position: 1, isTold: true }, "said again");
});

Deno.test("who has hung up is passed over: at once when that is told, else after a while", async () => {
  const { clock, queue, line, wait } = setUp(1);
  const held = line("a");
  wait("a", "one");
  await clock.advance(1);
  wait("a", "two");
  await clock.advance(1);
  wait("a", "three");
  held?.release();
  queue.leave("one");
  assert.equal(line("a", "three"), null);
  await clock.advance(GONE_MS);
  wait("a", "three");
  await clock.advance(1);
  assert.notEqual(line("a", "three"), null);
});

Deno.test("a tenant with fewer lines comes first, and what a tenant's own limits hold back holds nobody else back", () => {
  const { tokens, line, wait } = setUp(4);
  const held = [line("a"), line("a"), line("a"), line("b")];
  wait("a", "a1");
  wait("b", "b1");
  held[0]?.release();
  assert.equal(line("a", "a1"), null);
  assert.notEqual(line("b", "b1"), null);
  held[1]?.release();
  wait("b", "b2", "slot");
  assert.equal(line("b"), null, "one of the same tenant is first");
  assert.notEqual(line("a", "a1"), null);
  assert.equal(tokens.view().taken, 4);
});

Deno.test("the line is bounded, and nobody waits for longer than two minutes, whatever machine they were told by", async () => {
  const { clock, queue, wait } = setUp();
  for (let nth = 0; nth < WAITING_MAX; nth++) assert.notEqual(wait("a", `a${nth}`), null);
  assert.equal(wait("a", "late"), null);
  assert.notEqual(wait("b", "b0"), null, "one company's callers do not shut out another's");
  assert.deepEqual([queue.length, queue.lacking], [WAITING_MAX + 1, WAITING_MAX + 1]);
  const sinceMs = clock.date().getTime() - WAIT_MAX_MS + 1;
  const from = { tenantId: "c", carrierCallId: "c0", lacks: "line", sinceMs } as const;
  assert.notEqual(queue.wait(from), null);
  await clock.advance(1);
  assert.equal(queue.wait(from), null);
  assert.equal(queue.wait({ ...from, carrierCallId: "c1", sinceMs: Infinity })?.position, 1);
});

Deno.test("while callers are shed nobody joins, and who waits goes on waiting, counted as refused once", () => {
  const { tokens, door, line, wait } = setUp(1);
  line("a");
  assert.equal(line("a", "one"), null);
  wait("a", "one");
  door.isClosed = true;
  for (let ask = 0; ask < 3; ask++) {
    assert.equal(line("a", "one"), null);
    assert.equal(wait("a", "one")?.position, 1);
  }
  assert.equal(tokens.view().refused.inbound, 1);
  assert.equal(wait("a", "two"), null);
});

Deno.test("whoever waits, leaves and ends: no line is given twice, and none stays idle while somebody waits", () => {
  const act = fc.record({
    tenant: fc.constantFrom("a", "b", "c"),
    release: fc.option(fc.nat()),
    leaves: fc.option(fc.nat()),
  });
  fc.assert(fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
    let nowMs = 0;
    const clock = { now: () => nowMs, date: () => new Date(nowMs) };
    const tokens = newTokens({
      capacity: 3,
      keptPercent: 0,
      now: clock.now,
      isShed: () => false,
    });
    const queue = newQueue({ clock, heldBy: tokens.heldBy, isClosed: () => false });
    const live: Grant[] = [];
    let there: { readonly tenantId: string; readonly carrierCallId: string }[] = [];
    const ask = (caller: typeof there[number]): void => {
      const { tenantId, carrierCallId } = caller;
      const leaving = queue.before(tenantId, carrierCallId);
      const grant = tokens.take("inbound", tenantId, { leaving, isAgain: false });
      there = there.filter((it) => it.carrierCallId !== carrierCallId);
      if (grant !== null) {
        live.push(grant);
        queue.leave(carrierCallId);
      } else if (queue.wait({ ...caller, sinceMs: nowMs, lacks: "line" }) !== null) {
        there.push(caller);
      }
      assert(tokens.view().taken === live.length && live.length <= 3);
    };
    acts.forEach(({ tenant, release, leaves }, nth) => {
      nowMs += 100;
      if (release !== null) live.splice(release % Math.max(1, live.length), 1)[0]?.release();
      if (leaves !== null) there.splice(leaves % Math.max(1, there.length), 1); // without a word
      ask({ tenantId: tenant, carrierCallId: `c${nth}` });
    });
    const left = there.length;
    for (let round = 0; round < 10; round++) {
      nowMs += 4_000;
      there.forEach(ask);
    }
    assert(tokens.view().taken === 3 || there.length === 0, `${left} ${there.length}`);
  }));
});
