/** An act: its entry, events and jobs go out beside its work, and its failure is that of what failed first. */

import assert from "node:assert/strict";
import { type Act, act, type ActOptions } from "@/db/act.ts";
import { getTenant, updateTenant } from "@/db/tenants.ts";
import { systemClock } from "@/lib/clock.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

function optionsOf(database: ActOptions["database"], tenantId: string) {
  const told: string[] = [];
  const options: ActOptions = {
    database,
    clock: systemClock,
    committed: {
      configChanged: () => void told.push("configChanged"),
      acted: () => void told.push("acted"),
      wakeJobs: () => void told.push("wakeJobs"),
      wakeDeliveries: () => void told.push("wakeDeliveries"),
    },
    pool: "rest",
    deadlineMs: DEADLINE_MS,
    tenantId,
    actor: { actorKind: "system", actorId: "test", requestId: null, address: null },
  };
  return { options, told };
}

const rename = async ({ sql }: Act, tenantId: string): Promise<unknown> =>
  await updateTenant(sql, tenantId, { name: "Renamed", settings: {} }, null);

Deno.test("an act whose audit entry cannot be written did not happen, and says why", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const { options, told } = optionsOf(database, tenantId);
  const entry = { action: "x", subjectId: tenantId, details: { text: "\u0000" } };
  const last = act(options, async (act) => {
    await rename(act, tenantId);
    await act.audit(entry);
  });
  await assert.rejects(last, /\\u0000|Unicode escape/);
  const first = act(options, async (act) => {
    await act.audit(entry);
    await rename(act, tenantId);
  });
  await assert.rejects(first, /\\u0000|Unicode escape/);
  const tenant = await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => getTenant(sql, tenantId),
  );
  assert.equal(tenant?.name, "Clinic");
  assert.deepEqual(told, []);
});

Deno.test("an act fails as what failed first in it, whoever waited for that", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const { options } = optionsOf(database, tenantId);
  const nonsense = async ({ sql }: Act): Promise<unknown> => await sql`select 1 / 0`;
  const ways: ((act: Act) => Promise<unknown>)[] = [
    async (act) => {
      act.withCommit(nonsense(act));
      await rename(act, tenantId); // refused, since the transaction has failed
    },
    async (act) => {
      act.withCommit(nonsense(act));
      await act.audit({ action: "x", subjectId: tenantId });
    },
    async (act) => {
      const renamed = nonsense(act);
      act.withCommit(rename(act, tenantId));
      await renamed;
    },
    async (act) => {
      act.withCommit((async () => await (await nonsense(act)))()); // told later than the others
      await act.audit({ action: "x", subjectId: tenantId });
    },
  ];
  for (const way of ways) await assert.rejects(act(options, way), /division by zero/);
});

Deno.test("what goes out with the commit is committed, and its answer can be had", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const { options, told } = optionsOf(database, tenantId);
  const { renamed } = await act(options, async (act) => {
    const renamed = rename(act, tenantId);
    act.withCommit(renamed);
    await act.audit({ action: "tenant.changed", subjectId: tenantId });
    return { renamed };
  });
  assert.ok(await renamed);
  const tenant = await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => getTenant(sql, tenantId),
  );
  assert.equal(tenant?.name, "Renamed");
  assert.deepEqual(told, ["acted"]);
});
