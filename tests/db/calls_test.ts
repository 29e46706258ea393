/** Calls: what is written of them, and how they are listed. */

import assert from "node:assert/strict";
import {
  type CallFilter,
  findCarrierCall,
  getCall,
  insertCall,
  listCalls,
  type NewCall,
  updateCallAnswered,
  updateCallEnded,
  updateCallPlaced,
} from "@/db/calls.ts";
import type { Sql } from "@/db/client.ts";
import { newId, uuidOf, uuidv7 } from "@/lib/ids.ts";
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
    /** So many calls that one way to find some is better than another. */
    fill: () =>
      database.asOwner(DEADLINE_MS, async (sql) => {
        await sql`
          insert into call (tenant_id, id, agent_id, agent_version, direction, from_number, to_number,
            carrier, carrier_call_id, status, outcome, started_at, ended_at)
          select ${uuidOf("tenant", tenantId)}, gen_random_uuid(), ${uuidOf("agent", agentId)}, 1,
            'inbound', '+4916' || i, '+4917' || i, 'twilio', 'CA' || i, 'ended', 'answered',
            timestamptz '2026-01-01' + i * interval '1 minute', timestamptz '2026-02-01'
          from generate_series(1, 2000) i`;
        await sql`analyze call`;
      }),
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
    usage: null,
    answeredAt: null,
    endedAt: null,
  };
  const [inserted, again, got] = await tenant.run(async (sql) => [
    await insertCall(sql, tenant.tenantId, call),
    await insertCall(sql, tenant.tenantId, call),
    await getCall(sql, tenant.tenantId, call.id),
  ]);
  assert.deepEqual(inserted, { call: expected, isNew: true });
  assert.deepEqual(again, { call: expected, isNew: false });
  assert.deepEqual(got, expected);
});

Deno.test("a carrier that announces a call twice gets the same call", async () => {
  await using tenant = await setUp();
  const first = newCall(tenant.agentId);
  const again = newCall(tenant.agentId, { carrierCallId: first.carrierCallId });
  const ids = await tenant.run(async (sql) => [
    (await insertCall(sql, tenant.tenantId, first)).call.id,
    (await insertCall(sql, tenant.tenantId, again)).call.id,
    (await insertCall(sql, tenant.tenantId, first)).call.id,
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
      await findCarrierCall(sql, tenantId, "CA-placed"),
      await findCarrierCall(sql, tenantId, "CA-again"),
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

    const end = await updateCallEnded(sql, tenantId, call.id, answeredEnd);
    assert.equal(end?.status, "ended");
    const later = { ...answeredEnd, outcome: "failed", reason: "Late word" } as const;
    assert.equal(await updateCallEnded(sql, tenantId, call.id, later), null);
    assert.equal(await updateCallAnswered(sql, tenantId, call.id, answeredAt), null);
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
      // Two of each instant, so that the id decides between them.
      const startedAt = new Date(1_767_600_000_000 + 1_000 * (ids.indexOf(id) >> 1));
      await insertCall(sql, tenantId, newCall(agentId, { id, carrierCallId: id, startedAt }));
    }
    const first = await listCalls(sql, tenantId, { limit: 4 });
    return [first, await listCalls(sql, tenantId, { limit: 4, before: first.at(-1) })];
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
  assert.deepEqual([call, ended], [null, null]);
});

Deno.test("calls are found by what is asked for, and by nothing else", async () => {
  await using tenant = await setUp();
  const { tenantId, agentId } = tenant;
  const [mine, other] = ["+4915100000001", "+4915100000002"];
  const at = (minute: number) => new Date(Date.UTC(2026, 0, 5, 9, minute));
  const rows: readonly Partial<NewCall>[] = [
    { fromNumber: mine, toNumber: other, startedAt: at(0) },
    { fromNumber: other, toNumber: mine, startedAt: at(1), direction: "outbound" },
    { fromNumber: mine, toNumber: mine, startedAt: at(2) },
    { fromNumber: other, toNumber: other, startedAt: at(3) },
  ];
  await tenant.run(async (sql) => {
    const calls = rows.map((row) => newCall(agentId, row));
    for (const call of calls) await insertCall(sql, tenantId, call);
    await updateCallAnswered(sql, tenantId, calls[1]?.id ?? "", at(4));
    await updateCallEnded(sql, tenantId, calls[2]?.id ?? "", answeredEnd);
    const find = async (filter: CallFilter) =>
      (await listCalls(sql, tenantId, { limit: 10, ...filter }))
        .map(({ id }) => calls.findIndex((call) => call.id === id));
    assert.deepEqual(await find({}), [3, 2, 1, 0]);
    assert.deepEqual(await find({ status: "ringing" }), [3, 0]);
    assert.deepEqual(await find({ status: "live" }), [1]);
    assert.deepEqual(await find({ status: "ended" }), [2]);
    assert.deepEqual(await find({ outcome: "answered" }), [2]);
    assert.deepEqual(await find({ outcome: "busy" }), []);
    assert.deepEqual(await find({ direction: "outbound" }), [1]);
    assert.deepEqual(await find({ number: mine }), [2, 1, 0]);
    assert.deepEqual(await find({ number: other }), [3, 1, 0]);
    assert.deepEqual(await find({ number: mine, direction: "inbound" }), [2, 0]);
    assert.deepEqual(await find({ from: at(1), to: at(3) }), [2, 1]);
    assert.deepEqual(await find({ agentId }), [3, 2, 1, 0]);
    assert.deepEqual(await find({ agentId: newId("agent") }), []);
    const first = await listCalls(sql, tenantId, { limit: 2, number: mine });
    const rest = await listCalls(sql, tenantId, { limit: 2, number: mine, before: first.at(-1) });
    assert.deepEqual(rest.map(({ id }) => id), [calls[0]?.id]);
  });
});

Deno.test("every filter of a list of calls goes by an index, in its order", async () => {
  await using tenant = await setUp();
  const { tenantId } = tenant;
  await tenant.fill();
  const before = { startedAt: new Date("2026-01-02T12:00:00Z"), id: newId("call") };
  const rows: readonly [CallFilter, RegExp][] = [
    [{}, /Index Scan using call_newest/],
    [{ from: new Date(0), to: new Date(1) }, /Index Cond: .*started_at >= /],
    [{ agentId: newId("agent") }, /Index Scan using call_of_agent/],
    [{ outcome: "busy" }, /Index Scan using call_of_outcome/],
    [{ placedBy: newId("person") }, /Index Scan using call_placed_by/],
    [{ status: "live" }, /Index Scan using call_not_ended/],
    [{ number: "+4915100000001" }, /Index Scan using call_from[^]*Index Scan using call_to/],
  ];
  for (const [filter, index] of rows) {
    const plans = await tenant.run((sql) =>
      plansOf(sql, async (sql) => {
        await listCalls(sql, tenantId, { limit: 10, ...filter });
        await listCalls(sql, tenantId, { limit: 10, before, ...filter });
      })
    );
    for (const plan of plans) {
      assert.match(plan, index);
      if (filter.number === undefined) assert.doesNotMatch(plan, /Sort/);
    }
    assert.match(plans[1] ?? "", /Index Cond: .*ROW\(.*started_at, .*id\) < /);
  }
});

Deno.test("finding a call by the carrier's id goes by an index", async () => {
  await using tenant = await setUp();
  const { tenantId } = tenant;
  const [found] = await tenant.run((sql) =>
    plansOf(sql, async (sql) => {
      await findCarrierCall(sql, tenantId, "CA1");
    })
  );
  assert.match(found ?? "", /Index Scan/); // which one an empty table gets, versions decide differently
});
