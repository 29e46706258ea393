/** Calling back: once, when a line is free, not when they have called again, and not an hour late. */

import assert from "node:assert/strict";
import { callback } from "@/actors/jobs/callback.ts";
import type { JobContext } from "@/actors/jobs/kind.ts";
import { act } from "@/db/act.ts";
import { hasTalkedSince, insertCall } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { DEADLINE_MS, newCall, newStaffedTenant } from "@/tests/support/rows.ts";
import { testServices } from "@/tests/support/services.ts";

const { open } = await testDatabase();

const OURS = "+15550100100";
const THEIRS = "+15550199000";

async function setUp(database: Database) {
  const { tenantId, agentId } = await newStaffedTenant(database);
  const clock = manualClock();
  const placed: unknown[] = [];
  const machine = { refuses: null as AppError | null };
  const services = testServices({
    database,
    clock,
    placeCall(tenant, call) {
      if (machine.refuses !== null) return Promise.reject(machine.refuses);
      return Promise.resolve(void placed.push([tenant, call]));
    },
  });
  const run = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("jobs", tenantId, DEADLINE_MS, work);
  const actor = { actorKind: "system", actorId: "callback", requestId: null, address: null };
  const options = { database, clock, committed: services, pool: "jobs", deadlineMs: DEADLINE_MS };
  const context = {
    ...services,
    tenantId,
    signal: new AbortController().signal,
    read: run,
    act: (work: Parameters<typeof act>[1]) =>
      act({ ...options, tenantId, actor } as Parameters<typeof act>[0], work),
  } as unknown as JobContext; // what the job does not use is not there
  const wanted = {
    ...{ callId: newId("call"), agentId, from: OURS, to: THEIRS },
    wantedAt: clock.date().toISOString(),
  };
  const insert = (from: string, to: string, more: { id?: string; startedAt?: Date } = {}) =>
    run((sql) =>
      insertCall(sql, tenantId, {
        ...newCall(agentId),
        ...{ fromNumber: from, toNumber: to, startedAt: new Date(clock.date().getTime() + 1) },
        ...more,
      })
    );
  const told = async () => {
    const rows = await run((sql) => sql`select payload from outbox where type = 'callback.ended'`);
    return rows.map(({ payload }) => Object(payload));
  };
  const job = async () => await callback.prepare(wanted)?.(context);
  return { tenantId, clock, placed, machine, wanted, insert, told, job, run };
}

Deno.test("a caller is called back from the number they called, and the company is told", async () => {
  await using database = await open();
  const { tenantId, placed, wanted, told, job } = await setUp(database);
  await job();
  assert.deepEqual(placed, [[tenantId, wanted]]);
  const { from, to, wantedAt, callId } = wanted;
  assert.deepEqual(await told(), [{ from, to, wantedAt, callId, outcome: "placed" }]);
});

Deno.test("while no line is free it is tried again soon, and after an hour no more", async () => {
  await using database = await open();
  const { clock, machine, placed, told, job } = await setUp(database);
  for (const code of ["busy", "draining"] as const) {
    machine.refuses = new AppError(code, "Full");
    await assert.rejects(job(), { code: "busy", retryAfterS: 15 });
  }
  machine.refuses = new AppError("quota_exceeded", "Spent");
  await assert.rejects(job(), { code: "quota_exceeded" });
  assert.deepEqual(await told(), []);
  machine.refuses = null;
  await clock.advance(3_600_001);
  await job();
  assert.deepEqual(placed, []);
  assert.deepEqual((await told()).map(({ outcome, callId }) => [outcome, callId]), [
    ["expired", null],
  ]);
});

for (const [name, from, to] of [["called", THEIRS, OURS], ["been called", OURS, THEIRS]] as const) {
  Deno.test(`who has ${name} meanwhile is not called back`, async () => {
    await using database = await open();
    const { placed, insert, told, job } = await setUp(database);
    await insert(from, to);
    await job();
    assert.deepEqual(placed, []);
    assert.deepEqual((await told()).map(({ outcome }) => outcome), ["called_again"]);
  });
}

Deno.test("what was before, between others, or is the callback itself, is no call since", async () => {
  await using database = await open();
  const { tenantId, clock, wanted, insert, run } = await setUp(database);
  await insert(THEIRS, OURS, { startedAt: clock.date() });
  await insert(THEIRS, "+15550100109");
  await insert("+15550199009", OURS);
  await insert(OURS, THEIRS, { id: wanted.callId });
  const parties = { ours: OURS, theirs: THEIRS, exceptId: wanted.callId };
  assert.equal(
    await run((sql) => hasTalkedSince(sql, tenantId, parties, clock.date())),
    false,
  );
});
