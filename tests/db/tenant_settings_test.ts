/** What a tenant sets for its calls: merged name by name, and of models only those that operators allow. */

import assert from "node:assert/strict";
import { getTenant, updateTenantModels } from "@/db/tenants.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { errandRunner } from "@/tests/support/errands.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

async function setUp() {
  const database = await open();
  const tenantId = await newTenant(database);
  const { run } = errandRunner(database, tenantId);
  const inTenant = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("rest", tenantId, DEADLINE_MS, work);
  return {
    look: () => run("tenant", undefined),
    set: async (settings: Parameters<typeof run<"changeTenant">>[1]["settings"]) =>
      (await run("changeTenant", { settings, expected: null })).settings,
    allow: (models: readonly string[] | null) =>
      inTenant((sql) => updateTenantModels(sql, tenantId, models)),
    row: () => inTenant((sql) => getTenant(sql, tenantId)),
    [Symbol.asyncDispose]: () => database.close(),
  };
}

Deno.test("defaults change one by one, null takes one away, and other settings stay", async () => {
  await using tenant = await setUp();
  await tenant.set({ timezone: "Europe/Berlin", callRetentionDays: null });
  await tenant.set({ defaults: { model: "m1", voice: "v1" } });
  await tenant.set({ defaults: { voice: null, language: "de" } });
  const changed = await tenant.set({ agentsSeeOwnCallsOnly: true });
  const expected = {
    timezone: "Europe/Berlin",
    callRetentionDays: null,
    defaults: { model: "m1", language: "de" },
    agentsSeeOwnCallsOnly: true,
  };
  assert.deepEqual([changed, (await tenant.look()).settings], [expected, expected]);
});

Deno.test("a model that operators do not allow is refused by its field, and nothing is changed", async () => {
  await using tenant = await setUp();
  assert.equal((await tenant.look()).models, null);
  await tenant.set({ defaults: { model: "any" } });
  await tenant.allow(["m1", "m2"]);
  assert.deepEqual((await tenant.look()).models, ["m1", "m2"]);
  const before = await tenant.row();
  await assert.rejects(tenant.set({ timezone: "UTC", defaults: { model: "m3" } }), {
    code: "invalid",
    field: "settings.defaults.model",
  });
  assert.deepEqual(await tenant.row(), before);
  // What was chosen before stands in nobody's way.
  assert.equal((await tenant.set({ defaults: { voice: "v1" } })).defaults?.model, "any");
  assert.equal((await tenant.set({ defaults: { model: "m2" } })).defaults?.model, "m2");
});
