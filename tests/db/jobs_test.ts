/** Jobs on a real database, at virtual time: at least once, in turn, and never by two at once. */

import assert from "node:assert/strict";
import { z } from "zod";
import { type JobContext, jobKind } from "@/actors/jobs/kind.ts";
import { jobs, type JobsDeps, jobsKind, type JobsMessage } from "@/actors/jobs/jobs.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { Sql } from "@/db/client.ts";
import { insertJob, type Job, listJobs } from "@/db/jobs.ts";
import { newId } from "@/lib/ids.ts";
import { type ActorKit, actorKit } from "@/tests/support/actor_kit.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";
import { testServices } from "@/tests/support/services.ts";
import { type VirtualDatabase, virtualDatabase } from "@/tests/support/virtual_database.ts";

const { open } = await testDatabase();

/** What a job of a test does: it is started, and does what the test then says. */
interface Run {
  readonly tenantId: string;
  readonly key: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly end: PromiseWithResolvers<void>;
}

interface SetUp extends AsyncDisposable, ActorKit, VirtualDatabase {
  /** In the order in which they began. */
  readonly runs: Run[];
  /** A machine more, with an actor system of its own. */
  machine(more?: Partial<JobsDeps>): Ref<JobsMessage>;
  add(tenantId: string, ...keys: string[]): Promise<void>;
  list(tenantId: string): Promise<Job[]>;
  as<T>(tenantId: string, work: (sql: Sql) => Promise<T>): Promise<T>;
}

async function setUp(): Promise<SetUp> {
  const real = await open();
  await real.asOwner(DEADLINE_MS, (sql) => sql`truncate job, cron_tick`); // of the test before
  const kit = actorKit();
  const virtual = virtualDatabase(real, kit.clock);
  const services = testServices({ database: virtual.database, clock: kit.clock });
  const runs: Run[] = [];
  const held = jobKind({
    payload: z.strictObject({}),
    attempts: 3,
    leaseMs: 30_000,
    run({ tenantId, job, signal }: JobContext) {
      const end = Promise.withResolvers<void>();
      runs.push({ tenantId, ...job, signal, end });
      return end.promise;
    },
  });
  let machines = 0;
  const as: SetUp["as"] = (tenantId, work) =>
    virtual.database.asTenant("jobs", tenantId, DEADLINE_MS, work);
  return {
    ...kit,
    ...virtual,
    runs,
    as,
    machine: (more = {}) =>
      kit.system.spawn(
        jobsKind,
        `machine ${++machines}`,
        () => jobs({ services, kinds: { held }, houseCron: {}, random: () => 1, ...more }),
      ),
    add: (tenantId, ...keys) =>
      as(tenantId, async (sql) => {
        for (const key of keys) {
          await insertJob(sql, tenantId, { id: newId("job"), kind: "held", key, payload: {} });
        }
      }),
    list: (tenantId) => as(tenantId, (sql) => listJobs(sql, tenantId, { limit: 100 })),
    async [Symbol.asyncDispose]() {
      await kit.system.shutdown();
      await virtual.settle();
      await real.close();
    },
  };
}

function at<T>(list: readonly T[], index: number): T {
  const found = list.at(index);
  assert.ok(found !== undefined, `nothing at ${index}`);
  return found;
}

Deno.test("a job is found within half a second, and at once when its machine is told", async () => {
  await using kit = await setUp();
  const tenantId = await newTenant(kit.database);
  const ref = kit.machine();
  await kit.settle();
  await kit.add(tenantId, "a");
  await kit.advance(500);
  assert.deepEqual(kit.runs.map(({ key }) => key), ["a"]);
  at(kit.runs, 0).end.resolve();
  await kit.settle();
  assert.deepEqual((await kit.list(tenantId)).map(({ status }) => status), ["done"]);
  await kit.add(tenantId, "b");
  ref.send({ type: "wake" });
  await kit.settle();
  assert.deepEqual(kit.runs.map(({ key }) => key), ["a", "b"]);
});

Deno.test("the same kind and key is the same job", async () => {
  await using kit = await setUp();
  const tenantId = await newTenant(kit.database);
  await kit.add(tenantId, "a", "a");
  kit.machine();
  await kit.advance(1);
  at(kit.runs, 0).end.resolve();
  await kit.add(tenantId, "a");
  await kit.advance(2_000, 500);
  assert.equal(kit.runs.length, 1);
});
