/** Calls: what is written of them, and how they are listed. */

import assert from "node:assert/strict";
import {
  findCarrierCall,
  getCall,
  insertCall,
  listCalls,
  updateCallAnswered,
  updateCallEnded,
  updateCallPlaced,
} from "@/db/calls.ts";
import type { Sql } from "@/db/client.ts";
import { newId, uuidv7 } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { plansOf } from "@/tests/support/explain.ts";
import { answeredEnd, DEADLINE_MS, newCall, newStaffedTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

/** A tenant with an agent, and a way to run as it. */
async function setUp() {
  const database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  return {
    tenantId,
    agentId,
    run: <T>(work: (sql: Sql) => Promise<T>) =>
      database.asTenant("calls", tenantId, DEADLINE_MS, work),
    [Symbol.asyncDispose]: () => database.close(),
  };
}

const answeredAt = new Date("2026-01-05T09:00:05Z");

Deno.test("a call comes back as it was written", async () => {
  await using tenant = await setUp();
  const call = newCall(tenant.agentId);
  const expected = {
    ...call,
    status: "ringing",
    outcome: null,
    reason: null,
    variables: {},
    answeredAt: null,
    endedAt: null,
  };
  const [inserted, got] = await tenant.run(async (sql) => [
    await insertCall(sql, tenant.tenantId, call),
    await getCall(sql, tenant.tenantId, call.id),
  ]);
  assert.deepEqual(inserted, expected);
  assert.deepEqual(got, expected);
});

Deno.test("a carrier that announces a call twice gets the same call", async () => {
  await using tenant = await setUp();
  const first = newCall(tenant.agentId);
  const again = newCall(tenant.agentId, { carrierCallId: first.carrierCallId });
  const ids = await tenant.run(async (sql) => [
    (await insertCall(sql, tenant.tenantId, first)).id,
    (await insertCall(sql, tenant.tenantId, again)).id,
    (await insertCall(sql, tenant.tenantId, first)).id,
  ]);
  assert.deepEqual(ids, [first.id, first.id, first.id]);
});

Deno.test("outbound calls wait for the carrier's id without standing in each other's way", async () => {
  await using tenant = await setUp();
  const { tenantId, agentId } = tenant;
  const outbound = () => newCall(agentId, { direction: "outbound", carrierCallId: null });
  const [one, two] = [outbound(), outbound()];
  const ids = await tenant.run(async (sql) => {
    await insertCall(sql, tenantId, one);
    await insertCall(sql, tenantId, two);
    await updateCallPlaced(sql, tenantId, one.id, "CA-placed");
    await updateCallPlaced(sql, tenantId, one.id, "CA-again");
    return [
      (await getCall(sql, tenantId, one.id))?.carrierCallId,
      (await getCall(sql, tenantId, two.id))?.carrierCallId,
      await findCarrierCall(sql, tenantId, { carrier: "twilio", carrierCallId: "CA-placed" }),
      await findCarrierCall(sql, tenantId, { carrier: "twilio", carrierCallId: "CA-again" }),
    ];
  });
  assert.deepEqual(ids, ["CA-placed", null, one.id, null]);
});

Deno.test("a call goes from ringing to live to ended, and never back", async () => {
  await using tenant = await setUp();
  const { tenantId, agentId } = tenant;
  const call = newCall(agentId);
  await tenant.run(async (sql) => {
    await insertCall(sql, tenantId, call);
    await updateCallAnswered(sql, tenantId, call.id, answeredAt);
    await updateCallAnswered(sql, tenantId, call.id, new Date("2026-01-05T09:00:09Z"));
    const live = await getCall(sql, tenantId, call.id);
    assert.deepEqual([live?.status, live?.answeredAt], ["live", answeredAt]);

    assert.equal(await updateCallEnded(sql, tenantId, call.id, answeredEnd), true);
    const later = { ...answeredEnd, outcome: "failed", reason: "Late word" } as const;
    assert.equal(await updateCallEnded(sql, tenantId, call.id, later), false);
    await updateCallAnswered(sql, tenantId, call.id, answeredAt);
    const ended = await getCall(sql, tenantId, call.id);
    assert.deepEqual(ended, { ...call, ...answeredEnd, status: "ended", answeredAt });
  });
});

Deno.test("calls are listed newest first, page by page, without a gap or a repeat", async () => {
  await using tenant = await setUp();
  const { tenantId, agentId } = tenant;
  const ids = Array.from({ length: 7 }, (_, i) => {
    const random = Uint8Array.from({ length: 10 }, () => i);
    return `call_${uuidv7({ unixMs: () => 1_767_600_000_000 + i, random: () => random })}`;
  });
  const pages = await tenant.run(async (sql) => {
    for (const id of [...ids].sort(() => -1)) {
      await insertCall(sql, tenantId, newCall(agentId, { id, carrierCallId: id }));
    }
    const first = await listCalls(sql, tenantId, { limit: 4 });
    const last = first.at(-1)?.id ?? "";
    return [first, await listCalls(sql, tenantId, { limit: 4, before: last })];
  });
  assert.deepEqual(pages.map((page) => page.map(({ id }) => id)), [
    [...ids].reverse().slice(0, 4),
    [...ids].reverse().slice(4),
  ]);
});

Deno.test("a malformed id is no call's", async () => {
  await using tenant = await setUp();
  const [call, ended] = await tenant.run(async (sql) => [
    await getCall(sql, tenant.tenantId, "call_1"),
    await updateCallEnded(sql, tenant.tenantId, "agent_1", answeredEnd),
  ]);
  assert.deepEqual([call, ended], [null, false]);
});

Deno.test("listing calls, and finding one by the carrier's id, goes by an index", async () => {
  await using tenant = await setUp();
  const { tenantId } = tenant;
  const [first, next, found] = await tenant.run((sql) =>
    plansOf(sql, async (sql) => {
      await listCalls(sql, tenantId, { limit: 10 });
      await listCalls(sql, tenantId, { limit: 10, before: newId("call") });
      await findCarrierCall(sql, tenantId, { carrier: "twilio", carrierCallId: "CA1" });
    })
  );
  for (const plan of [first, next]) {
    assert.match(plan ?? "", /Index Scan Backward using call_pkey/);
    assert.doesNotMatch(plan ?? "", /Sort/);
  }
  assert.match(next ?? "", /Index Cond: .*id < /);
  assert.match(found ?? "", /Index Scan/); // which one an empty table gets, versions decide differently
});
