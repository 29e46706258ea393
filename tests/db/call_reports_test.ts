/** A carrier's word on calls whose machine went down: through the desk, into the row, told to the tenant once. */

import assert from "node:assert/strict";
import { storeAnswered } from "@/db/call_news.ts";
import { callStore } from "@/actors/call/store.ts";
import { desk, deskKind } from "@/actors/desk/desk.ts";
import { office } from "@/actors/desk/office.ts";
import { deskStore } from "@/actors/desk/store.ts";
import { recorder, recorderKind } from "@/actors/recorder/recorder.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { getCall } from "@/db/calls.ts";
import { systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { prng } from "@/tests/support/actor_kit.ts";
import { type History, randomHistory } from "@/tests/support/carrier_reports.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newStaffedTenant } from "@/tests/support/rows.ts";
import { testServices } from "@/tests/support/services.ts";

const { open } = await testDatabase();
const RUNS = Number(Deno.env.get("F7_ROWS") ?? 20);
const SEED = Number(Deno.env.get("F7_SEED") ?? 7);

async function setUp() {
  const database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  const clock = systemClock;
  const system = newSystem({ clock, log: silentLog });
  const events = system.spawn(
    recorderKind,
    "recorder",
    () => recorder({ database, log: silentLog }),
  );
  const store = deskStore(database, tenantId, { clock, carrier: "twilio" });
  const services = testServices({ database, clock });
  let arrivedAt = clock.date();
  system.register(deskKind, () =>
    desk({
      ...store,
      agent: () => Promise.resolve(null),
      reported: (callId, carrierCallId, report) =>
        callStore({ tenantId, callId }, { database, recorder: events })
          .report(carrierCallId, report, arrivedAt),
      tenantId,
      errands: {},
      office: (visit) => office(services, visit),
      log: silentLog,
      newCallId: () => newId("call"),
      outfit: () => Promise.reject(new Error("No call is placed here")),
      admit: () => Promise.reject(new Error("No call is placed here")),
      release: () => {},
      takeLine: () => null,
      startCall: () => null,
      findCall: () => null,
      wait: () => null,
      refused: () => {},
      wantCallback: () => Promise.resolve(),
      leaveQueue: () => {},
      wallMs: () => 0,
      findAnnounced: () => null,
      isAlone: () => true,
      findElsewhere: () => Promise.resolve(null),
    }));
  const ref = system.at(deskKind, tenantId);
  const run = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("calls", tenantId, DEADLINE_MS, work);

  /** Lets a call ring and its machine die; then the carrier tells. How its row comes out. */
  async function callAfter(history: History, arriving: History["arriving"], wasAnswered: boolean) {
    const callId = newId("call");
    const carrierCallId = `CA${callId.slice(-12)}`;
    const agent = { agentId, version: 1, graph: {} as never };
    const numbers = { from: "+15550001", to: "+15550002" };
    const { signal } = new AbortController();
    await store.insertCall(
      {
        ...{ callId, agent, direction: "outbound", ...numbers },
        ...{ carrierCallId: null, placedBy: null, account: "house" },
      },
      null,
      signal,
    );
    if (wasAnswered) await run((sql) => storeAnswered(sql, tenantId, callId, history.startedAt));
    for (const report of arriving) {
      arrivedAt = report.arrivedAt;
      ref.send({ type: "progressed", callId, carrierCallId, report: report.report });
      // A hang-up asked behind it is answered when the desk is done with it, or beside it.
      await ref.ask<void>((reply) => ({ type: "hangUp", callId: "call_1", reply })).catch(() => {});
    }
    return callId;
  }

  async function rowOf(callId: string) {
    return await run(async (sql) => {
      const call = await getCall(sql, tenantId, callId);
      const told = await sql<{ type: string }[]>`
        select type from outbox where payload->>'callId' = ${callId} order by id`;
      const jobs = await sql`select 1 from job where key = ${callId}`;
      return {
        status: call?.status,
        outcome: call?.outcome,
        reason: call?.reason,
        isEnded: call?.endedAt !== null,
        told: told.map(({ type }) => type),
        jobs: jobs.length,
      };
    });
  }

  return {
    callAfter,
    rowOf,
    shutdown: () => system.shutdown(),
    async [Symbol.asyncDispose]() {
      await system.shutdown();
      await database.close();
    },
  };
}

Deno.test(`in ${RUNS} sequences a row left behind ends as in order and once, and its end is told once`, async () => {
  await using test = await setUp();
  const random = prng(SEED);
  const pairs: [string, string][] = [];
  for (let run = 0; run < RUNS; run++) {
    const history = randomHistory(random, systemClock.date());
    const wasAnswered = random() < 0.5;
    const inOrder = history.told.map((report) => ({ report, arrivedAt: report.at ?? new Date(0) }));
    pairs.push([
      await test.callAfter(history, inOrder, wasAnswered),
      await test.callAfter(history, history.arriving, wasAnswered),
    ]);
  }
  await test.shutdown();
  let ended = 0;
  for (const [run, [once, got]] of pairs.entries()) {
    const row = await test.rowOf(got);
    assert.deepEqual(row, await test.rowOf(once), `F7_SEED=${SEED}, run ${run}`);
    const isEnded = row.status === "ended";
    if (isEnded) ended++;
    assert.equal(row.told.filter((type) => type === "call.ended").length, isEnded ? 1 : 0);
    assert.equal(row.jobs, isEnded ? 1 : 0);
    assert.equal(row.told[0], "call.started");
  }
  assert.ok(ended > 0);
});
