/** Calls that come, or are placed: what a carrier and REST are told, and what a call costs in lines and slots. */

import assert from "node:assert/strict";
import { callKind } from "@/actors/call/call.ts";
import type { Outfit } from "@/actors/desk/equipment.ts";
import { AppError } from "@/lib/errors.ts";
import { AGENT, AWAY, FULL, OUTFIT, PLAN, setUp, viewOf } from "@/tests/support/desk_kit.ts";

Deno.test("a ring becomes a row, a call and a way to its socket", async () => {
  const { ask, ring, rows, machine, live } = setUp();
  const answer = await ask(ring("CA1"));
  assert.equal(answer.type === "connect" && answer.callId, "call_1");
  assert.deepEqual([...rows.keys()], ["call_1"]);
  assert.deepEqual({ live: live(), taken: machine.taken }, { live: 1, taken: 1 });
});

Deno.test("a ring that the carrier repeats gets the same call and the same answer", async () => {
  const { ask, ring, machine, live } = setUp();
  const first = await ask(ring("CA1"));
  assert.deepEqual(await ask(ring("CA1")), first);
  assert.deepEqual({ live: live(), taken: machine.taken }, { live: 1, taken: 1 });
});

Deno.test("a ring that is repeated before the first one is answered makes one call", async () => {
  const { ask, ring, machine, live } = setUp();
  const answers = await ask(Promise.all([ring("CA1"), ring("CA1"), ring("CA1")]));
  assert.deepEqual(answers[1], answers[0]);
  assert.deepEqual(answers[2], answers[0]);
  assert.deepEqual({ live: live(), taken: machine.taken }, { live: 1, taken: 1 });
});

Deno.test("a ring of a call that has ended is told to hang up", async () => {
  const { ask, ring, rows, machine } = setUp();
  rows.set("call_0", { ...viewOf("call_0"), status: "ended", carrierCallId: "CA1" });
  assert.deepEqual(await ask(ring("CA1")), { type: "hangUp" });
  assert.equal(machine.taken, 0);
});

for (const agentId of ["agent_of_nobody", null]) {
  Deno.test(`a ring for ${agentId ?? "a number without an agent"} is not found`, async () => {
    const { ask, ring, machine, rows } = setUp();
    await assert.rejects(ask(ring("CA1", agentId)), { code: "not_found", field: "agentId" });
    assert.deepEqual({ taken: machine.taken, rows: rows.size }, { taken: 0, rows: 0 });
  });
}

Deno.test("a ring while a provider has no key is told which, and takes no line", async () => {
  const missing = new AppError("not_configured", "No key", { field: "OPENAI_API_KEY" });
  const { ask, ring, place, machine } = setUp({ deps: { outfit: () => Promise.resolve(missing) } });
  await assert.rejects(ask(ring("CA1")), missing);
  await assert.rejects(ask(place()), missing);
  assert.equal(machine.taken, 0);
});

Deno.test("a ring when all lines are taken is busy, and one that follows the end of a call is not", async () => {
  const { ask, ring, place, machine, system, settle, refused } = setUp({ lines: 1 });
  await ask(ring("CA1"));
  assert.deepEqual(await ask(ring("CA2")), { type: "busy" });
  await assert.rejects(ask(place()), { code: "busy", retryable: true });
  assert.deepEqual(refused, ["callers", "placed"]);
  system.find(callKind, "call_1")?.send({ type: "hangUp" });
  await settle();
  assert.equal(machine.taken, 0);
  assert.equal((await ask(ring("CA2"))).type, "connect");
});

Deno.test("a ring when all lines are taken asks no database, on a machine that is alone", async () => {
  const { ask, ring, system } = setUp({
    lines: 1,
    deps: {
      isAlone: () => true,
      findAnnounced: (id) => id === "CA1" ? system.find(callKind, "call_1") : null,
      callOfCarrier: () => Promise.reject(new Error("It is not to be asked")),
    },
  });
  const first = await ask(ring("CA1"));
  assert.deepEqual(await ask(ring("CA2")), { type: "busy" });
  assert.deepEqual(await ask(ring("CA2")), { type: "busy" });
  assert.deepEqual(await ask(ring("CA1")), first, "one that lives and is announced again");
});

Deno.test("a caller of a number that has them wait gets a place, keeps it, and then the line", async () => {
  const waits: unknown[] = [];
  const { ask, ring, machine, system, settle } = setUp({
    lines: 1,
    deps: {
      isAlone: () => true,
      wait(caller) {
        waits.push(caller);
        return { position: 1, isTold: waits.length === 1 };
      },
    },
  });
  await ask(ring("CA1"));
  assert.deepEqual(await ask(ring("CA2")), { type: "busy" }, "its number does not offer it");
  const first = await ask(ring("CA2", AGENT.agentId, { whenFull: "wait" }));
  const sinceMs = Object(first).sinceMs;
  const place = { type: "wait", sinceMs, language: "en", mayBeCalledBack: false, position: 1 };
  assert.deepEqual(first, { ...place, isTold: true });
  const patient = { whenFull: "wait", waitingSinceMs: sinceMs, language: "en" } as const;
  const again = await ask(ring("CA2", AGENT.agentId, patient));
  assert.deepEqual(again, { ...place, isTold: false });
  const caller = { carrierCallId: "CA2", sinceMs, lacks: "line" };
  assert.deepEqual(waits, [caller, caller]);
  system.find(callKind, "call_1")?.send({ type: "hangUp" });
  await settle();
  assert.equal((await ask(ring("CA2", AGENT.agentId, patient))).type, "connect");
  assert.equal(machine.taken, 1);
});

for (const isAlone of [true, false]) {
  Deno.test(`who waits is told so in their agent's language, ${isAlone ? "" : "not "}on a machine alone`, async () => {
    const looked: string[] = [];
    const { ask, ring } = setUp({
      lines: 1,
      deps: {
        isAlone: () => isAlone,
        agent({ agentId }) {
          looked.push(agentId);
          return Promise.resolve({ ...AGENT, graph: { ...AGENT.graph, language: "de-AT" } });
        },
        wait: () => ({ position: 1, isTold: true }),
      },
    });
    await ask(ring("CA1"));
    looked.length = 0;
    assert.equal((await ask(ring("CA2"))).type, "busy");
    assert.deepEqual(looked, [], "of who is refused nobody looks for it");
    const first = await ask(ring("CA2", AGENT.agentId, { whenFull: "wait" }));
    assert.equal(first.type === "wait" && first.language, "de-AT");
    const more = { whenFull: "wait", waitingSinceMs: 0, language: "de-AT" } as const;
    const again = await ask(ring("CA2", AGENT.agentId, more));
    assert.equal(again.type === "wait" && again.language, "de-AT");
    assert.deepEqual(looked, [AGENT.agentId], "once");
  });
}

Deno.test("who waits is told so in the house's language while the agent cannot be read", async () => {
  let isAway = false;
  const { ask, ring } = setUp({
    lines: 1,
    deps: {
      isAlone: () => true,
      agent: () => isAway ? Promise.reject(AWAY) : Promise.resolve(AGENT),
      wait: () => ({ position: 1, isTold: true }),
    },
  });
  await ask(ring("CA1"));
  isAway = true;
  const answer = await ask(ring("CA2", AGENT.agentId, { whenFull: "wait" }));
  assert.equal(answer.type === "wait" && answer.language, "en");
});

for (const [code, lacks] of [["busy", "slot"], ["quota_exceeded", null]] as const) {
  Deno.test(`a caller whom the tenant's limits refuse as ${code} waits only where that helps`, async () => {
    const waits: unknown[] = [];
    const refused = new AppError(code, "Full");
    const { ask, ring, machine } = setUp({
      deps: {
        admit: () => Promise.reject(refused),
        wait(caller) {
          waits.push(caller.lacks);
          return { position: 1, isTold: true };
        },
      },
    });
    const { type } = await ask(ring("CA1", AGENT.agentId, { whenFull: "wait" }));
    assert.equal(type, lacks === null ? "busy" : "wait");
    assert.deepEqual([waits, machine.taken], [lacks === null ? [] : [lacks], 0]);
  });
}

Deno.test("a caller who wants to be called back is, once it is written down, and leaves the line", async () => {
  const wanted: unknown[] = [];
  const left: string[] = [];
  const { ref, ask } = setUp({
    deps: {
      wantCallback: (back) => Promise.resolve(void wanted.push(back)),
      leaveQueue: (id) => void left.push(id),
    },
  });
  const callBack = (from: string) =>
    ask(ref.ask<void>((reply) => ({
      type: "callBack",
      ring: {
        ...{ from, to: "+15550002", carrierCallId: "CA1", agentId: AGENT.agentId },
        ...{ account: "house", configVersion: 1 },
      },
      reply,
    })));
  await callBack("+15550001");
  const back = { carrierCallId: "CA1", agentId: AGENT.agentId, from: "+15550002", to: "+15550001" };
  assert.deepEqual([wanted, left], [[back], ["CA1"]]);
  await assert.rejects(callBack("anonymous"), { code: "conflict" });
});

Deno.test("a call that is placed again under its id is the same call", async () => {
  const { ref, ask, rows, machine, live } = setUp();
  const place = () =>
    ask(ref.ask<{ callId: string }>((reply) => ({
      ...{ type: "placeCall", callId: "call_given", configVersion: null, placedBy: null },
      ...{ agentId: AGENT.agentId, to: "+15550001", from: "+15550002" },
      reply,
    })));
  assert.deepEqual(await place(), { callId: "call_given" });
  assert.deepEqual(await place(), { callId: "call_given" });
  assert.deepEqual([rows.size, live(), machine.taken], [1, 1, 1]);
});

Deno.test("a caller who hangs up while waiting leaves the line, when the carrier tells", async () => {
  const left: string[] = [];
  const { ref, settle } = setUp({ deps: { leaveQueue: (id) => void left.push(id) } });
  for (const progress of ["in_progress", "completed"] as const) {
    const report = { progress, at: null };
    ref.send({ type: "progressed", callId: null, carrierCallId: "CA1", report });
  }
  await settle();
  assert.deepEqual(left, ["CA1"]);
});

Deno.test("a ring on a machine that drains is busy", async () => {
  const { ask, ring, machine } = setUp();
  machine.draining = true;
  assert.deepEqual(await ask(ring("CA1")), { type: "busy" });
  assert.equal(machine.taken, 0);
});

for (const code of ["busy", "quota_exceeded"] as const) {
  Deno.test(`a call that the tenant's limits refuse as ${code} is busy when it rings, and told when it is placed`, async () => {
    const refused = new AppError(code, "No more");
    const { ask, ring, place, machine, rows } = setUp({
      deps: { admit: () => Promise.reject(refused) },
    });
    assert.deepEqual(await ask(ring("CA1")), { type: "busy" });
    await assert.rejects(ask(place()), refused);
    assert.deepEqual({ taken: machine.taken, rows: rows.size }, { taken: 0, rows: 0 });
  });
}

Deno.test("a call that lives and is announced again keeps its slot, though the tenant's are all taken", async () => {
  const slots = new Set<string>();
  const kit = setUp({
    deps: {
      admit({ callId }) {
        if (slots.size > 0) return Promise.reject(FULL);
        slots.add(callId);
        return Promise.resolve(PLAN);
      },
      release: (callId) => void slots.delete(callId),
    },
  });
  const first = await kit.ask(kit.ring("CA1"));
  assert.deepEqual(await kit.ask(kit.ring("CA1")), first);
  assert.deepEqual(await kit.ask(kit.ring("CA2")), { type: "busy" });
  assert.deepEqual({ taken: kit.machine.taken, slots: [...slots] }, {
    taken: 1,
    slots: ["call_1"],
  });
});

Deno.test("a slot is kept for a call that lives, and for no other", async () => {
  const { ask, ring, place, slots, machine, rows, system, settle } = setUp();
  await ask(ring("CA1"));
  await ask(ring("CA1"));
  await ask(place());
  assert.deepEqual([...slots], ["call_1", "call_3"]);
  rows.set("call_0", { ...viewOf("call_0"), status: "ended", carrierCallId: "CA0" });
  await ask(ring("CA0"));
  machine.draining = true;
  await ask(ring("CA5"));
  await assert.rejects(ask(place()), { code: "draining" });
  assert.deepEqual([...slots], ["call_1", "call_3"]);
  for (const callId of slots) system.find(callKind, callId)?.send({ type: "hangUp" });
  await settle();
  assert.equal(slots.size, 0);
});

Deno.test("a slot is given back when the call's row cannot be written, or is one too many", async () => {
  for (const error of [AWAY, new AppError("quota_exceeded", "The plan allows 1 calls a day")]) {
    const { ask, place, slots } = setUp({ deps: { insertCall: () => Promise.reject(error) } });
    await assert.rejects(ask(place()), error);
    assert.equal(slots.size, 0);
  }
});

Deno.test("a ring while the database is away fails with its error, and gives the line back", async () => {
  const { ask, ring, machine } = setUp({ deps: { agent: () => Promise.reject(AWAY) } });
  await assert.rejects(ask(ring("CA1")), AWAY);
  assert.equal(machine.taken, 0);
});

Deno.test("a call that is placed is dialed by its own actor", async () => {
  const { ask, place, got, machine } = setUp();
  assert.deepEqual(await ask(place()), { callId: "call_1" });
  assert.deepEqual(got, ["dial +15550001 +15550002"]);
  assert.equal(machine.taken, 1);
});

Deno.test("a call cannot be placed with an agent that is not there, nor on a machine that drains", async () => {
  const { ask, place, machine } = setUp();
  await assert.rejects(ask(place("agent_of_nobody")), { code: "not_found", field: "agentId" });
  machine.draining = true;
  await assert.rejects(ask(place()), { code: "draining" });
  assert.equal(machine.taken, 0);
});

Deno.test("a call that is live is answered again though all lines are taken", async () => {
  const { ask, ring } = setUp({ lines: 1 });
  const first = await ask(ring("CA1"));
  assert.deepEqual(await ask(ring("CA1")), first);
  assert.deepEqual(await ask(ring("CA2")), { type: "busy" });
});

Deno.test("a company whose access is off gets no call and places none; its callers are on record", async () => {
  const off = new AppError("tenant_suspended", "The company's access is off");
  const { ask, ring, place, rows, machine, live } = setUp({
    deps: { outfit: () => Promise.resolve(off) },
  });
  await assert.rejects(ask(ring("CA1")), off);
  await assert.rejects(ask(place()), off);
  assert.deepEqual([...rows.values()].map(({ direction, reason }) => [direction, reason]), [
    ["inbound", "tenant_suspended"],
  ]);
  assert.deepEqual({ live: live(), taken: machine.taken }, { live: 0, taken: 0 });
});

Deno.test("a call is held with what its account and its tenant's version say", async () => {
  const asked: unknown[] = [];
  const started: Outfit[] = [];
  const outfits: Outfit[] = [];
  const voices: (string | null)[] = [];
  const defaults = { language: null, voice: "the tenant's" };
  const { ask, ring, place } = setUp({
    deps: {
      outfit(account, version) {
        asked.push([account, version]);
        const outfit = { ...OUTFIT, account: account ?? "tenant", defaults };
        outfits.push(outfit);
        return Promise.resolve(outfit);
      },
      startCall({ graph }, line, outfit) {
        started.push(outfit);
        voices.push(graph.voice);
        line.release();
        return null;
      },
    },
  });
  await ask(ring("CA1"));
  await assert.rejects(ask(place()), { code: "draining" });
  assert.deepEqual(asked, [["house", 1], [null, 1]]);
  assert.deepEqual(started, outfits);
  assert.deepEqual(voices, [defaults.voice, defaults.voice]);
});

Deno.test("a call that cannot be held for want of a key is on record, with the reason", async () => {
  const error = new AppError("not_configured", "Speech needs A_KEY", { field: "A_KEY" });
  const { ask, ring, rows, machine } = setUp({ deps: { outfit: () => Promise.resolve(error) } });
  await assert.rejects(ask(ring("CA1")), error);
  const [row] = rows.values();
  assert.deepEqual([row?.outcome, row?.reason], ["failed", "not_configured"]);
  assert.equal(machine.taken, 0);
});
