/** Quotas in the database: counted with the row, refused with the row, whatever the number of machines. */

import assert from "node:assert/strict";
import { insertCall, listCalls } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { beginningOf, countCall, countSeconds, getUsage } from "@/db/quota.ts";
import { getLimitOverrides, getTenantPlan, updateLimitOverrides } from "@/db/tenant_limits.ts";
import { newId } from "@/lib/ids.ts";
import { HOUSE_LIMITS, limitsWith, type TenantLimits } from "@/lib/limits/plan.ts";
import { testDatabase } from "@/tests/support/database.ts";
import {
  DEADLINE_MS,
  newCall,
  newStaffedTenant,
  newTenant,
  type Staffed,
} from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const AT = new Date("2026-01-31T23:59:30Z");

function dial(
  database: Database,
  { tenantId, agentId }: Staffed,
  limits: TenantLimits,
  startedAt = AT,
): Promise<void> {
  const call = newCall(agentId, { direction: "outbound", carrierCallId: null, startedAt });
  return database.asTenant("calls", tenantId, DEADLINE_MS, async (sql) => {
    await insertCall(sql, tenantId, call);
    await countCall(sql, tenantId, call, limits);
  });
}

function usage(database: Database, tenantId: string, at = AT) {
  return database.asTenant("rest", tenantId, DEADLINE_MS, (sql) => getUsage(sql, tenantId, at));
}

Deno.test("of forty dials at once the cap lets through as many as it says, and leaves no row of the others", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const limits = { ...HOUSE_LIMITS, dialsPerMinute: 15 };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 40 }, () => dial(database, staffed, limits)),
  );
  const refused = outcomes.filter((it) => it.status === "rejected");
  assert.equal(refused.length, 25);
  for (const { reason } of refused) assert.equal(reason.code, "quota_exceeded");
  const { tenantId } = staffed;
  const calls = await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => listCalls(sql, tenantId, { limit: 100 }),
  );
  assert.equal(calls.length, 15);
  assert.deepEqual(await usage(database, tenantId), {
    callsPerDay: 15,
    callsPerMonth: 15,
    secondsPerMonth: 0,
    dialsPerMinute: 15,
    dialsPerDay: 15,
  });
});

Deno.test("a minute, a day and a month begin anew, in UTC", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const limits = { ...HOUSE_LIMITS, dialsPerMinute: 1, callsPerMonth: 2 };
  await dial(database, staffed, limits);
  await assert.rejects(dial(database, staffed, limits), /calls placed a minute/);
  const next = new Date("2026-02-01T00:00:00Z");
  await dial(database, staffed, limits, next);
  assert.deepEqual(await usage(database, staffed.tenantId, next), {
    callsPerDay: 1,
    callsPerMonth: 1,
    secondsPerMonth: 0,
    dialsPerMinute: 1,
    dialsPerDay: 1,
  });
  await dial(database, staffed, limits, new Date("2026-02-01T00:01:00Z"));
  const third = dial(database, staffed, limits, new Date("2026-02-02T00:00:00Z"));
  await assert.rejects(third, { code: "quota_exceeded" });
});

Deno.test("a limit of none lets nothing through", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const refused = dial(database, staffed, { ...HOUSE_LIMITS, dialsPerDay: 0 });
  await assert.rejects(refused, { code: "quota_exceeded" });
});

Deno.test("one tenant's use is not another's", async () => {
  await using database = await open();
  const [one, other] = [await newStaffedTenant(database), await newStaffedTenant(database)];
  const limits = { ...HOUSE_LIMITS, dialsPerMinute: 1 };
  await dial(database, one, limits);
  await dial(database, other, limits);
  assert.equal((await usage(database, other.tenantId)).dialsPerMinute, 1);
});

Deno.test("seconds add up over a month, and counters of past minutes go", async () => {
  await using database = await open();
  const staffed = await newStaffedTenant(database);
  const { tenantId } = staffed;
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await countSeconds(sql, tenantId, 61.2, AT);
    await countSeconds(sql, tenantId, 8, AT);
  });
  assert.equal((await usage(database, tenantId)).secondsPerMonth, 70);
  await dial(database, staffed, HOUSE_LIMITS);
  await dial(database, staffed, HOUSE_LIMITS, new Date(AT.getTime() + 2 * 3_600_000));
  assert.equal((await usage(database, tenantId)).dialsPerMinute, 0);
});

Deno.test("a period begins at its first instant, UTC", () => {
  const at = new Date("2024-02-29T13:37:59.999Z");
  assert.deepEqual(
    (["minute", "day", "month"] as const).map((period) => beginningOf(period, at).toISOString()),
    ["2024-02-29T13:37:00.000Z", "2024-02-29T00:00:00.000Z", "2024-02-01T00:00:00.000Z"],
  );
});

Deno.test("what operators set stands in place of the house's figures, and the rest remains", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const set = {
    concurrentCalls: 3,
    callsPerDay: null,
    rates: { read: { capacity: 9, perSecond: 1 } },
  };
  const found = await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    assert.deepEqual(await getLimitOverrides(sql, tenantId), {});
    assert.ok(await updateLimitOverrides(sql, tenantId, set));
    assert.deepEqual(await getLimitOverrides(sql, tenantId), set);
    assert.equal(await updateLimitOverrides(sql, newId("tenant"), set), false);
    return await getTenantPlan(sql, tenantId);
  });
  assert.deepEqual(found, {
    configVersion: 1,
    status: "active",
    limits: {
      ...HOUSE_LIMITS,
      concurrentCalls: 3,
      rates: { ...HOUSE_LIMITS.rates, read: { capacity: 9, perSecond: 1 } },
    },
  });
  assert.deepEqual(limitsWith({ dialsPerDay: undefined }), HOUSE_LIMITS);
});

Deno.test("limits that are none are not written", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  for (const set of [{ concurrentCalls: -1 }, { callsPerDay: 1.5 }, { dialsPerDay: NaN }]) {
    const writing = database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) => updateLimitOverrides(sql, tenantId, set),
    );
    await assert.rejects(writing);
  }
});
