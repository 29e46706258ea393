/** Tenants: what keeps one from another, on the level of the database. */

import assert from "node:assert/strict";
import { getTenant, insertTenant } from "@/db/tenants.ts";
import { newId } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";

const { open } = await testDatabase();

Deno.test("a tenant is found by its id, and inserted once", async () => {
  const database = await open();
  const id = newId("tenant");
  const inserted = await database.asTenant("rest", id, 5_000, async (sql) => [
    await insertTenant(sql, { id, name: "Clinic" }),
    await insertTenant(sql, { id, name: "Another" }),
  ]);
  assert.deepEqual(inserted, [true, false]);
  const tenant = await database.asTenant("rest", id, 5_000, (sql) => getTenant(sql, id));
  assert.deepEqual(tenant, { id, name: "Clinic" });
  await database.close();
});
