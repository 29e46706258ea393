/** What the tenant is told of a call: each event once, in order, however often it is written. */

import assert from "node:assert/strict";
import { postCall } from "@/actors/jobs/post_call.ts";
import type { JobContext } from "@/actors/jobs/kind.ts";
import { act } from "@/db/act.ts";
import { announceStarted, storeAnswered, storeEnded } from "@/db/call_news.ts";
import { getCallAnalysis, insertCall } from "@/db/calls.ts";
import { appendEvents } from "@/db/events.ts";
import { systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { answeredEnd, DEADLINE_MS, newCall, newStaffedTenant } from "@/tests/support/rows.ts";
import { testServices } from "@/tests/support/services.ts";

const { open } = await testDatabase();
const answeredAt = new Date("2026-01-05T09:00:05Z");

async function setUp() {
  const database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  const clock = systemClock;
  const services = testServices({ database, clock });
  const run = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("calls", tenantId, DEADLINE_MS, work);
  const call = newCall(agentId);
  await run(async (sql) => {
    const { call: row, isNew } = await insertCall(sql, tenantId, call);
    if (isNew) await announceStarted(sql, tenantId, row);
  });
  const actor = { actorKind: "system", actorId: "post_call", requestId: null, address: null };
  const options = { database, clock, committed: services, pool: "jobs", deadlineMs: DEADLINE_MS };
  const context = {
    ...services,
    tenantId,
    act: (work: Parameters<typeof act>[1]) =>
      act({ ...options, tenantId, actor } as Parameters<typeof act>[0], work),
  } as unknown as JobContext; // what the job does not use is not there
  return {
    tenantId,
    call,
    run,
    end: () => run((sql) => storeEnded(sql, tenantId, call.id, answeredEnd)),
    answer: () => run((sql) => storeAnswered(sql, tenantId, call.id, answeredAt)),
    record: (types: readonly string[]) =>
      run((sql) =>
        appendEvents(
          sql,
          types.map((type, nth) => ({
            tenantId,
            conversationId: call.id,
            seq: nth + 1,
            type,
            payload: { turn: nth, text: "Hello.", unheard: "", bargedIn: false, gapMs: null },
            at: answeredAt,
          })),
        )
      ),
    job: async () => await postCall.prepare({ callId: call.id })?.(context),
    told: () =>
      run((sql) =>
        sql<{ type: string; payload: Record<string, unknown> }[]>`
        select type, payload from outbox order by id`
      ),
    jobs: () => run((sql) => sql<{ kind: string; key: string }[]>`select kind, key from job`),
    analysis: () => run((sql) => getCallAnalysis(sql, tenantId, call.id)),
    [Symbol.asyncDispose]: () => database.close(),
  };
}

Deno.test("a call is told as started, answered and ended, each once though written again", async () => {
  await using test = await setUp();
  await test.answer();
  await test.answer();
  assert.equal(await test.end(), true);
  assert.equal(await test.end(), false);
  await test.answer();
  const told = await test.told();
  assert.deepEqual(told.map(({ type }) => type), ["call.started", "call.answered", "call.ended"]);
  const facts = {
    callId: test.call.id,
    agentId: test.call.agentId,
    direction: "inbound",
    from: test.call.fromNumber,
    to: test.call.toNumber,
    startedAt: test.call.startedAt.toISOString(),
  };
  assert.deepEqual(told.map(({ payload }) => payload), [
    facts,
    { ...facts, answeredAt: answeredAt.toISOString() },
    {
      ...facts,
      answeredAt: answeredAt.toISOString(),
      endedAt: answeredEnd.endedAt.toISOString(),
      durationMs: 55_000,
      outcome: "answered",
      reason: null,
      variables: { name: "Ada" },
    },
  ]);
  assert.deepEqual([...await test.jobs()], [{ kind: "post_call", key: test.call.id }]);
});

Deno.test("an end that is not committed is not told", async () => {
  await using test = await setUp();
  const fails = test.run(async (sql) => {
    await storeEnded(sql, test.tenantId, test.call.id, answeredEnd);
    await sql`select 1 / 0`;
  });
  await assert.rejects(fails);
  assert.deepEqual((await test.told()).map(({ type }) => type), ["call.started"]);
  assert.deepEqual([...await test.jobs()], []);
});

Deno.test("after the end the transcript is told of, then the figures, once though the job runs again", async () => {
  await using test = await setUp();
  await test.answer();
  await test.end();
  await test.record(["agent_said", "caller_said", "call_ended"]);
  await test.job();
  await test.job();
  const told = (await test.told()).slice(3);
  assert.deepEqual(told.map(({ type }) => type), ["transcript.ready", "call.analyzed"]);
  assert.equal(told[0]?.payload.turns, 2);
  assert.deepEqual(told[1]?.payload.analysis, await test.analysis());
  assert.deepEqual((await test.analysis())?.turns, { agent: 1, caller: 1 });
});

Deno.test("a call that has not ended, and one that is not there, are left alone", async () => {
  await using test = await setUp();
  await test.job();
  await postCall.prepare({ callId: newId("call") });
  assert.equal(await test.analysis(), null);
  assert.equal(postCall.prepare({ callId: 1 }), null);
});
