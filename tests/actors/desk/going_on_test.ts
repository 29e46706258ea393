/** Calls that live already, here or on another machine, or have ended: what a carrier that asks is told. */

import assert from "node:assert/strict";
import type { CallMessage } from "@/actors/call/call.ts";
import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { DeskDeps, TakenCall } from "@/actors/desk/desk_deps.ts";
import type { Ref, Reply } from "@/actors/runtime/actor.ts";
import { AppError } from "@/lib/errors.ts";
import { AGENT, OUTFIT, setUp, viewOf } from "@/tests/support/desk_kit.ts";

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
      takeCall(_callId, { seen }) {
        takes.push(seen);
        return Promise.resolve(options.taken === undefined ? TAKEN : options.taken);
      },
      ...options.deps,
    },
  });
  kit.rows.set("call_1", { ...viewOf("call_1"), status: "live", carrierCallId: "CA1" });
  /** As a carrier asks: beside what goes on. */
  const ask = (): Promise<CallAnswer> =>
    kit.ref.ask<CallAnswer>((reply) => ({
      ...{ type: "resume", callId: "call_1", carrierCallId: "CA1", reply },
    }));
  return { ...kit, ask, asked, takes };
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
  const { ask, settle, takes, live, machine } = elsewhere({});
  const both = [ask(), ask()];
  await settle();
  assert.deepEqual((await Promise.all(both)).map(({ type }) => type), ["connect", "connect"]);
  assert.deepEqual([takes.length, live(), machine.taken], [1, 1, 1]);
});

Deno.test("who asks for a call that was taken, and does not live here yet, gets the same", async () => {
  let equip = (): void => {};
  const equipped = new Promise<void>((resolve) => void (equip = resolve));
  const { ask, settle, takes, live } = elsewhere({
    deps: {
      async outfit() {
        await equipped;
        return OUTFIT;
      },
    },
  });
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

Deno.test("who has asked for a call that lives here by the time its owner is known, is answered by it", async () => {
  let tell = (): void => {};
  const told = new Promise<void>((resolve) => void (tell = resolve));
  let looks = 0;
  const { ask, settle, takes, live } = elsewhere({
    deps: {
      async ownerOf() {
        if (++looks > 1) await told;
        return SEEN;
      },
      takeCall: () => Promise.resolve(takes.push("taken") === 1 ? TAKEN : null), // then it is this machine's
    },
  });
  const both = [ask(), ask()];
  await settle();
  assert.equal(live(), 1);
  tell();
  await settle();
  assert.deepEqual((await Promise.all(both)).map(({ type }) => type), ["connect", "connect"]);
  assert.deepEqual([takes.length, live()], [1, 1]);
});

Deno.test("a taking that had no answer may have been done: the next one says so", async () => {
  const doubts: boolean[] = [];
  const { resume } = elsewhere({
    deps: {
      takeCall(_callId, { isDoubtful }) {
        doubts.push(isDoubtful);
        const away = new AppError("database_unavailable", "No answer", { retryable: true });
        return isDoubtful ? Promise.resolve(TAKEN) : Promise.reject(away);
      },
    },
  });
  await assert.rejects(resume("call_1"), { code: "database_unavailable" });
  assert.equal((await resume("call_1")).type, "connect");
  assert.deepEqual(doubts, [false, true]);
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
