/** The look-ups, which find a tenant by what an outsider shows. */

import assert from "node:assert/strict";
import { numberOwner, tenantRoute } from "@/db/lookups.ts";
import { insertPhoneNumber } from "@/db/phone_numbers.ts";
import { bumpConfigVersion } from "@/db/tenants.ts";
import { newId } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newStaffedTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

Deno.test("a number leads to its tenant and agent, also while no agent is assigned", async () => {
  await using database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    await insertPhoneNumber(sql, tenantId, {
      id: newId("number"),
      number: "+15550100111",
      agentId,
    });
    const unassigned = {
      ...{ id: newId("number"), number: "+15550100112", agentId: null },
      whenFull: "wait",
    } as const;
    await insertPhoneNumber(sql, tenantId, unassigned);
  });
  const owners = await database.lookup("calls", DEADLINE_MS, async (sql) => [
    await numberOwner(sql, "+15550100111"),
    await numberOwner(sql, "+15550100112"),
    await numberOwner(sql, "+15550100113"),
    await numberOwner(sql, "' or true --"),
  ]);
  assert.deepEqual(owners, [
    { tenantId, agentId, configVersion: 1, whenFull: "busy" },
    { tenantId, agentId: null, configVersion: 1, whenFull: "wait" },
    null,
    null,
  ]);
});

Deno.test("a tenant's route tells its version, and of a number only whether it is its own", async () => {
  await using database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  const other = await newStaffedTenant(database);
  await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
    const number = { id: newId("number"), number: "+15550100131", agentId };
    await insertPhoneNumber(sql, tenantId, number);
    await bumpConfigVersion(sql, tenantId);
  });
  const routes = await database.lookup("calls", DEADLINE_MS, async (sql) => [
    await tenantRoute(sql, tenantId, "+15550100131"),
    await tenantRoute(sql, tenantId, "+15550100132"),
    await tenantRoute(sql, other.tenantId, "+15550100131"),
    await tenantRoute(sql, newId("tenant"), "+15550100131"),
  ]);
  const foreign = { isOwn: false, agentId: null, whenFull: null };
  assert.deepEqual(routes, [
    { configVersion: 2, isOwn: true, agentId, whenFull: "busy" },
    { configVersion: 2, ...foreign },
    { configVersion: 1, ...foreign },
    null,
  ]);
});

Deno.test("a number is taken once, whoever asks", async () => {
  await using database = await open();
  const insert = async (number: string): Promise<boolean> => {
    const { tenantId, agentId } = await newStaffedTenant(database);
    return await database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) => insertPhoneNumber(sql, tenantId, { id: newId("number"), number, agentId }),
    );
  };
  assert.deepEqual([await insert("+15550100121"), await insert("+15550100121")], [true, false]);
  await assert.rejects(insert("5550100122"), /violates check constraint/);
});
