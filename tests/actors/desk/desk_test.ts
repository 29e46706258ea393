/** A desk: what a carrier and REST are told, how much it takes on, and that no line of the machine is lost. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { callKind, type CallMessage } from "@/actors/call/call.ts";
import {
  type CallAnswer,
  desk,
  deskKind,
  IN_FLIGHT_MAX,
  type Ring,
  WAITING_MAX,
} from "@/actors/desk/desk.ts";
import type { Agent, DeskDeps, NewCall, TakenCall } from "@/actors/desk/desk_deps.ts";
import type { CallView } from "@/actors/desk/calls.ts";
import type { Outfit } from "@/actors/desk/equipment.ts";
import { errand } from "@/actors/desk/errand.ts";
import { office, type RequestFacts, type Services } from "@/actors/desk/office.ts";
import type { Line } from "@/actors/call/switchboard.ts";
import type { Actor, Ref, Reply } from "@/actors/runtime/actor.ts";
import type { Principal, Scope } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { HOUSE_LIMITS, type TenantPlan } from "@/lib/limits/plan.ts";
import { silentLog } from "@/lib/log.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { parseGraph } from "@/lib/workflow/graph.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";

const TENANT = "tenant_0198f3c2-0000-7000-8000-000000000001";
const AGENT: Agent = { agentId: "agent_1", version: 1, graph: parseGraph(demoAgent) };
/** No errand here uses them. */
const NO_SERVICES = {} as Services;
/** No call is really held here. */
const OUTFIT = { account: "house", defaults: { language: null, voice: null } } as Outfit;
const PLAN: TenantPlan = { configVersion: 1, status: "active", limits: HOUSE_LIMITS };
const FULL = new AppError("busy", "The plan allows 1 live call, 1 is live", { retryable: true });
const AWAY = new AppError("database_unavailable", "No answer in time", { retryable: true });

/** A call as far as a desk knows it: it answers, and ends when it is told to hang up. */
function fakeCall(id: string, got: string[]): Actor<null, CallMessage> {
  const ignored = () => {};
  const connect = {
    type: "connect",
    callId: id,
    mediaPath: "/",
    token: "",
    resumePath: "/",
  } as const;
  return {
    init: () => null,
    on: {
      carrierJudged() {},
      colleagueSaid() {},
      colleagueUnheard() {},
      stallDue() {},
      answer(_state, { reply }) {
        got.push("answer");
        reply(connect);
      },
      resume(_state, { reply }) {
        got.push("resume");
        reply(connect);
      },
      dial(_state, { from, to, reply }) {
        got.push(`dial ${from} ${to}`);
        reply({ callId: id });
      },
      progressed: (_state, { progress }) => void got.push(progress),
      hangUp: (_state, _message, ctx) => ctx.stop(),
      legStarted: ignored,
      keysNoted: ignored,
      marked: ignored,
      pressed: ignored,
      legFaulted: ignored,
      legEnded: ignored,
      calledBack: ignored,
      heard: ignored,
      sounded: ignored,
      unheard: ignored,
      beeped: ignored,
      beepDue: ignored,
      deaf: ignored,
      listenerLost: ignored,
      wordsPlaced: ignored,
      synthesisBegan: ignored,
      playoutBegan: ignored,
      synthesisFailed: ignored,
      speakerLost: ignored,
      modelSaid: ignored,
      modelLost: ignored,
      attach: ignored,
      connected: ignored,
      dialed: ignored,
      deadlinePassed: ignored,
      control: ignored,
      greetingDue: ignored,
      keysDue: ignored,
      hooksDue: ignored,
      invite: ignored,
      admit: ignored,
      tapped: ignored,
      tapLeft: ignored,
      tapAsked: ignored,
      tapSpoke: ignored,
      settleDue: ignored,
      durationPassed: ignored,
      connectMissed: ignored,
      endingDue: ignored,
      recordingLost: ignored,
      carrierHungUp: ignored,
      historyRead: ignored,
      savedMeanwhile: ignored,
      saved: ignored,
      saveAgain: ignored,
      leave: ignored,
      givenUp: ignored,
      sounding: ignored,
      onRecord: ignored,
    },
  };
}

/** A machine with so many lines, and a database that knows what was inserted. */
function setUp(options: { readonly lines?: number; readonly deps?: Partial<DeskDeps> } = {}) {
  const { clock, system, settle } = actorKit();
  const machine = { lines: options.lines ?? 10, taken: 0, draining: false };
  const rows = new Map<string, CallView & { readonly carrierCallId: string | null }>();
  const got: string[] = [];
  /** Calls that have a slot of the tenant. */
  const slots = new Set<string>();
  const refused: string[] = [];
  let ids = 0;

  function takeLine(): Line | null {
    if (machine.taken === machine.lines) return null;
    machine.taken++;
    let isTaken = true;
    return {
      release() {
        if (isTaken) machine.taken--;
        isTaken = false;
      },
    };
  }

  const deps: DeskDeps = {
    tenantId: TENANT,
    errands: {},
    office: (visit) => office(NO_SERVICES, visit),
    log: silentLog,
    newCallId: () => `call_${++ids}`,
    agent: ({ agentId }) => Promise.resolve(agentId === AGENT.agentId ? AGENT : null),
    admit({ callId }) {
      slots.add(callId);
      return Promise.resolve(PLAN);
    },
    release: (callId) => void slots.delete(callId),
    insertCall(call: NewCall) {
      const { callId, carrierCallId } = call;
      const known = carrierCallId === null
        ? undefined
        : [...rows.values()].find((row) => row.carrierCallId === carrierCallId);
      if (known !== undefined) {
        return Promise.resolve({
          callId: known.id,
          isNew: false,
          isEnded: known.status === "ended",
        });
      }
      rows.set(callId, { ...viewOf(callId), direction: call.direction, carrierCallId });
      return Promise.resolve({ callId, isNew: true, isEnded: false });
    },
    endCall(callId, reason) {
      const row = rows.get(callId);
      if (row !== undefined) {
        rows.set(callId, { ...row, status: "ended", outcome: "failed", reason });
      }
      return Promise.resolve();
    },
    call: (callId) => Promise.resolve(rows.get(callId) ?? null),
    callOfCarrier: (carrierCallId) =>
      Promise.resolve(
        [...rows.values()].find((it) => it.carrierCallId === carrierCallId)?.id ?? null,
      ),
    reported: () => Promise.resolve(),
    outfit: () => Promise.resolve(OUTFIT),
    takeLine,
    startCall({ callId }, line) {
      if (machine.draining) return null;
      return system.spawn(callKind, callId, () => fakeCall(callId, got), {
        stopped() {
          line.release();
          slots.delete(callId);
        },
      });
    },
    findCall: (callId) => system.find(callKind, callId),
    wait: () => null,
    wantCallback: () => Promise.resolve(),
    refused: (who) => void refused.push(who),
    leaveQueue: () => {},
    wallMs: () => clock.date().getTime(),
    findAnnounced: () => null,
    isAlone: () => false,
    findElsewhere: () => Promise.resolve(null),
    ownerOf: () => Promise.resolve(null),
    takeCall: () => Promise.resolve(null),
    ...options.deps,
  };
  system.register(deskKind, () => desk(deps));
  const ref = system.at(deskKind, TENANT);

  async function ask<T>(question: Promise<T>): Promise<T> {
    question.catch(() => {});
    await settle();
    return await question;
  }

  const ring = (
    carrierCallId: string,
    agentId: string | null = AGENT.agentId,
    more: Pick<Ring, "whenFull" | "waitingSinceMs"> = {},
  ) =>
    ref.ask<CallAnswer>((reply) => ({
      type: "ring",
      ring: {
        from: "+15550001",
        to: "+15550002",
        carrierCallId,
        agentId,
        account: "house",
        configVersion: 1,
        ...more,
      },
      reply,
    }), { timeoutMs: 60_000 });
  return {
    clock,
    system,
    settle,
    ref,
    machine,
    rows,
    got,
    slots,
    refused,
    ask,
    ring,
    resume: (callId: string) =>
      ask(
        ref.ask<CallAnswer>((reply) => ({ type: "resume", callId, carrierCallId: "CA1", reply })),
      ),
    place: (agentId = AGENT.agentId) =>
      ref.ask<{ callId: string }>((reply) => ({
        type: "placeCall",
        placedBy: "key_1",
        configVersion: 1,
        agentId,
        from: "+15550001",
        to: "+15550002",
        reply,
      }), { timeoutMs: 60_000 }),
    run: (name: string, input: unknown, scopes: readonly Scope[] = ["calls:read"]) =>
      ref.ask<unknown>(
        (reply) => ({
          type: "errand",
          name,
          input,
          by: principal(scopes),
          request: REQUEST,
          reply,
        }),
        { timeoutMs: 60_000 },
      ),
    view: () => system.inspect("desk", TENANT)?.view,
    live: () => system.count(callKind.name),
  };
}

const REQUEST: RequestFacts = { requestId: "r1", address: null, idempotencyKey: null };

function principal(scopes: readonly Scope[]): Principal {
  return {
    kind: "key",
    id: "key_1",
    tenantId: TENANT,
    role: null,
    scopes: new Set(scopes),
    sessionId: null,
    configVersion: 1,
  };
}

function viewOf(id: string): CallView {
  return {
    id,
    agentId: AGENT.agentId,
    direction: "inbound",
    channel: "phone",
    from: "+15550001",
    to: "+15550002",
    placedBy: null,
    status: "live",
    outcome: null,
    reason: null,
    variables: {},
    usage: null,
    answeredAt: null,
    durationMs: null,
    startedAt: "2026-01-05T09:00:00.000Z",
    endedAt: null,
  };
}

/** Promises that settle when the test says so. */
function gateway<T>() {
  const waiting: PromiseWithResolvers<T>[] = [];
  return {
    waiting,
    pass(): Promise<T> {
      const entry = Promise.withResolvers<T>();
      waiting.push(entry);
      return entry.promise;
    },
  };
}

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

Deno.test("a resume goes to the call that lives", async () => {
  const { ask, ring, resume, got } = setUp();
  await ask(ring("CA1"));
  assert.equal((await resume("call_1")).type, "connect");
  assert.deepEqual(got, ["answer", "resume"]);
});

const SEEN = { kind: "call", id: "call_1", epoch: 1, owner: { nodeId: "b", incarnation: 2 } };
const TAKEN: TakenCall = {
  graph: AGENT.graph,
  clips: [],
  direction: "inbound",
  numbers: ["+15550001", "+15550002"],
  carrierCallId: "CA1",
  channel: "phone",
  account: null,
  after: "machineLost",
};

/** A desk whose one call another machine began, which answers like this. */
function elsewhere(options: {
  readonly answers?: "connect" | "never" | "fails";
  readonly taken?: TakenCall | null;
  readonly lines?: number;
  readonly deps?: Partial<DeskDeps>;
}) {
  const asked: string[] = [];
  const far = {
    ...{ kind: "call", id: "call_1", send: () => true },
    ask<T>(question: (reply: Reply<T>) => CallMessage): Promise<T> {
      const reply = Object.assign(() => {}, { fail: () => {} });
      asked.push(question(reply).type);
      if (options.answers === "connect") return Promise.resolve({ type: "connect" } as T);
      const code = options.answers === "never" ? "unknown_outcome" : "actor_stopped";
      return Promise.reject(new AppError(code, "No answer"));
    },
  };
  const takes: unknown[] = [];
  const kit = setUp({
    lines: options.lines ?? 10,
    deps: {
      ownerOf: () => Promise.resolve(SEEN),
      findElsewhere: () => Promise.resolve(options.answers === undefined ? null : far),
      takeCall(_callId, seen) {
        takes.push(seen);
        return Promise.resolve(options.taken === undefined ? TAKEN : options.taken);
      },
      ...options.deps,
    },
  });
  kit.rows.set("call_1", { ...viewOf("call_1"), status: "live", carrierCallId: "CA1" });
  return { ...kit, asked, takes };
}

Deno.test("a resume of a call that another machine holds is answered by that one", async () => {
  const { resume, asked, takes, machine } = elsewhere({ answers: "connect" });
  assert.equal((await resume("call_1")).type, "connect");
  assert.deepEqual([asked, takes, machine.taken], [["resume"], [], 0]);
});

Deno.test("a call whose machine does not answer is taken as it was seen, and goes on here", async () => {
  for (const answers of ["never", "fails", undefined] as const) {
    const { resume, takes, got, live, machine } = elsewhere({ ...(answers && { answers }) });
    assert.equal((await resume("call_1")).type, "connect");
    assert.deepEqual([takes, got, live(), machine.taken], [[SEEN], ["resume"], 1, 1]);
  }
});

Deno.test("two that ask for a call at once get the one that was taken", async () => {
  const { ref, settle, takes, live, machine } = elsewhere({});
  const ask = () =>
    ref.ask<CallAnswer>((reply) => ({
      type: "resume",
      callId: "call_1",
      carrierCallId: "CA1",
      reply,
    }));
  const both = [ask(), ask()];
  await settle();
  assert.deepEqual((await Promise.all(both)).map(({ type }) => type), ["connect", "connect"]);
  assert.deepEqual([takes.length, live(), machine.taken], [1, 1, 1]);
});

Deno.test("who asks for a call that was taken, and does not live here yet, gets the same", async () => {
  let equip = (): void => {};
  const equipped = new Promise<void>((resolve) => void (equip = resolve));
  const { ref, settle, takes, live } = elsewhere({
    deps: {
      async outfit() {
        await equipped;
        return OUTFIT;
      },
    },
  });
  const ask = () =>
    ref.ask<CallAnswer>((reply) => ({
      type: "resume",
      callId: "call_1",
      carrierCallId: "CA1",
      reply,
    }));
  const first = ask();
  await settle();
  assert.deepEqual([takes.length, live()], [1, 0]);
  const second = ask(); // as a carrier does that had no answer
  await settle();
  equip();
  await settle();
  assert.deepEqual([(await first).type, (await second).type], ["connect", "connect"]);
  assert.deepEqual([takes.length, live()], [1, 1]);
});

Deno.test("a call that goes on needs no line that is free", async () => {
  const { resume, live } = elsewhere({ lines: 0 });
  assert.equal((await resume("call_1")).type, "connect");
  assert.equal(live(), 1);
});

Deno.test("a call that may not be taken, and one of another caller, stay where they are", async () => {
  const lost = elsewhere({ taken: null });
  await assert.rejects(lost.resume("call_1"), { code: "actor_stopped" });
  assert.equal(lost.machine.taken, 0);
  const other = elsewhere({});
  other.rows.set("call_1", { ...viewOf("call_1"), status: "live", carrierCallId: "CA2" });
  assert.deepEqual(await other.resume("call_1"), { type: "hangUp" });
  assert.deepEqual([other.takes, other.machine.taken], [[], 0]);
});

Deno.test("a call that was lost while it rang is taken by who gets its announcement again", async () => {
  const { ring, settle, got, live } = elsewhere({});
  const answer = ring("CA1");
  await settle();
  assert.equal((await answer).type, "connect");
  assert.deepEqual([got, live()], [["answer"], 1]);
});

Deno.test("a resume of a call that has ended well, or is unknown, is told to hang up", async () => {
  const { resume, rows } = setUp();
  const ended = { ...viewOf("call_0"), status: "ended", outcome: "answered" } as const;
  rows.set("call_0", { ...ended, carrierCallId: null });
  assert.deepEqual(await resume("call_0"), { type: "hangUp" });
  assert.deepEqual(await resume("call_9"), { type: "hangUp" });
});

Deno.test("a resume of a call that has failed, or whose actor is lost, fails", async () => {
  const { resume, rows } = setUp();
  const failed = { ...viewOf("call_0"), status: "ended", outcome: "failed" } as const;
  rows.set("call_0", { ...failed, carrierCallId: null });
  rows.set("call_1", { ...viewOf("call_1"), carrierCallId: null }); // live, says its row
  await assert.rejects(resume("call_0"), { code: "actor_stopped" });
  await assert.rejects(resume("call_1"), { code: "actor_stopped" });
});

Deno.test("progress finds its call by our id or the carrier's, and is dropped when there is none", async () => {
  const { ask, ring, ref, got, settle } = setUp();
  await ask(ring("CA1"));
  const news = (callId: string | null, carrierCallId: string) =>
    ref.send({
      type: "progressed",
      callId,
      carrierCallId,
      report: { progress: "completed", at: null },
    });
  news("call_1", "CA1");
  news(null, "CA1");
  news("call_9", "CA9");
  news(null, "CA9");
  await settle();
  assert.deepEqual(got, ["answer", "completed", "completed"]);
});

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

Deno.test("a call that is live is answered again though all lines are taken", async () => {
  const { ask, ring } = setUp({ lines: 1 });
  const first = await ask(ring("CA1"));
  assert.deepEqual(await ask(ring("CA1")), first);
  assert.deepEqual(await ask(ring("CA2")), { type: "busy" });
});

Deno.test("a call whose actor went with another process ends as crashed, and the caller is told", async () => {
  const { ask, ring, rows, machine } = setUp();
  rows.set("call_old", { ...viewOf("call_old"), status: "live", carrierCallId: "CA1" });
  await assert.rejects(ask(ring("CA1")), { code: "actor_stopped" });
  assert.deepEqual([rows.get("call_old")?.status, rows.get("call_old")?.reason], [
    "ended",
    "crashed",
  ]);
  assert.equal(machine.taken, 0);
});

Deno.test("a call that another machine holds is led from here all the same, and its row is left alone", async () => {
  const got: string[] = [];
  /** As it is over there: it says which message came, and as what. */
  const far: Ref<CallMessage> = {
    kind: "call",
    id: "call_far",
    send: ({ type }) => got.push(`told ${type}`) > 0,
    ask(question) {
      const { type } = question(Object.assign(() => {}, { fail: () => {} }));
      got.push(`asked ${type}`);
      const answer = type === "answer" ? { type: "hangUp" } : { ticket: "t" };
      return Promise.resolve(answer as never); // each as its question wants it
    },
  };
  const reported: string[] = [];
  const { ask, ring, ref, rows, settle, machine } = setUp({
    deps: {
      findElsewhere: (callId) => Promise.resolve(callId === far.id ? far : null),
      reported: (callId) => Promise.resolve(void reported.push(callId)),
    },
  });
  rows.set(far.id, { ...viewOf(far.id), carrierCallId: "CA1" });
  rows.set("call_left", { ...viewOf("call_left"), carrierCallId: "CA2" });

  assert.deepEqual(await ask(ring("CA1")), { type: "hangUp" }, "as the call itself answers");
  machine.lines = 0;
  assert.deepEqual(await ask(ring("CA1")), { type: "hangUp" });
  assert.deepEqual(
    await ask(ref.ask((reply) => ({ type: "invite", callId: far.id, by: "key_1", reply }))),
    { ticket: "t" },
  );
  await ask(ref.ask<void>((reply) => ({ type: "hangUp", callId: far.id, reply })));
  for (const carrierCallId of ["CA1", "CA2"]) {
    const report = { progress: "completed", at: null } as const;
    ref.send({ type: "progressed", callId: null, carrierCallId, report });
  }
  await settle();
  ref.send({ type: "carrierJudged", callId: far.id, carrierCallId: "CA1", by: "human" });
  await settle();
  assert.deepEqual(got, [
    ...["asked answer", "asked answer", "asked invite", "asked hangUp"],
    ...["asked progressed", "told carrierJudged"],
  ]);
  assert.deepEqual(reported, ["call_left"], "nobody holds that one");
  assert.equal(rows.get(far.id)?.status, "live");
  assert.equal(machine.taken, 0);
});

Deno.test("a call that its carrier ends while its machine does not answer ends here, as it was seen", async () => {
  const reported: unknown[] = [];
  const deps: Partial<DeskDeps> = {
    reported: (callId, _carrierCallId, { progress }, seen) =>
      Promise.resolve(void reported.push([callId, progress, seen])),
  };
  for (const answers of ["never", "connect", undefined] as const) {
    const { ref, settle, asked } = elsewhere({ deps, ...(answers && { answers }) });
    const tell = (progress: "completed" | "in_progress") => {
      const report = { progress, at: null } as const;
      ref.send({ type: "progressed", callId: "call_1", carrierCallId: "CA1", report });
      return settle();
    };
    await tell("in_progress");
    await tell("completed");
    assert.deepEqual(asked, answers === undefined ? [] : ["progressed"], "only of its end");
  }
  assert.deepEqual(reported, [
    ["call_1", "completed", SEEN], // it does not answer
    ["call_1", "in_progress", null], // nobody has it
    ["call_1", "completed", SEEN],
  ]);
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
