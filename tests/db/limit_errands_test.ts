/** The errand on limits: what the tenant may use, and what it uses now. */

import assert from "node:assert/strict";
import { countCall, countSeconds } from "@/db/quota.ts";
import { updateLimitOverrides } from "@/db/tenant_limits.ts";
import { HOUSE_LIMITS } from "@/lib/limits/plan.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { errandRunner } from "@/tests/support/errands.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

Deno.test("limits tell what operators have set, what the house has, and what is used of them", async () => {
  await using database = await open();
  const clock = manualClock();
  const tenantId = await newTenant(database);
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await updateLimitOverrides(sql, tenantId, { concurrentCalls: 3, callsPerDay: 10 });
    const startedAt = clock.date();
    await countCall(sql, tenantId, { direction: "outbound", startedAt }, HOUSE_LIMITS);
    await countCall(sql, tenantId, { direction: "inbound", startedAt }, HOUSE_LIMITS);
    await countSeconds(sql, tenantId, 61, startedAt);
  });
  assert.deepEqual(
    await errandRunner(database, tenantId, {
      clock,
      services: { liveCalls: () => Promise.resolve(2) },
    }).run("limits", undefined),
    {
      concurrentCalls: { limit: 3, used: 2 },
      callsPerDay: { limit: 10, used: 2 },
      callsPerMonth: { limit: null, used: 2 },
      minutesPerMonth: { limit: null, used: 2 },
      dialsPerMinute: { limit: 60, used: 1 },
      dialsPerDay: { limit: 5_000, used: 1 },
      rates: HOUSE_LIMITS.rates,
    },
  );
});
