/** Jobs on a real database, at virtual time: at least once, in turn, and never by two at once. */

import assert from "node:assert/strict";
import { z } from "zod";
import { type JobContext, jobKind } from "@/actors/jobs/kind.ts";
import {
  jobs,
  type JobsDeps,
  jobsKind,
  type JobsMessage,
  OF_TENANT_MAX,
} from "@/actors/jobs/jobs.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { Sql } from "@/db/client.ts";
import { insertJob, type Job, listJobs, updateJobReplayed } from "@/db/jobs.ts";
import { AppError } from "@/lib/errors.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { type ActorKit, actorKit } from "@/tests/support/actor_kit.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";
import { testServices } from "@/tests/support/services.ts";
import { type VirtualDatabase, virtualDatabase } from "@/tests/support/virtual_database.ts";

const { open } = await testDatabase();
const FLOOD = Number(Deno.env.get("JOB_FLOOD") ?? "10000");

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
  machine(more?: Partial<JobsDeps>, options?: { isFaulty: boolean }): Ref<JobsMessage>;
  add(tenantId: string, ...keys: string[]): Promise<void>;
  list(tenantId: string): Promise<Job[]>;
  as<T>(tenantId: string, work: (sql: Sql) => Promise<T>): Promise<T>;
}

/** While `isCut`, faulty machines cannot reach the database. */
async function setUp(isCut: () => boolean = () => false): Promise<SetUp> {
  const real = await open();
  await real.asOwner(DEADLINE_MS, (sql) => sql`truncate job, cron_tick`); // of the test before
  const kit = actorKit();
  const virtual = virtualDatabase(real, kit.clock);
  const lost = (): Promise<never> =>
    Promise.reject(new AppError("database_unavailable", "Cut off", { retryable: true }));
  const cut: VirtualDatabase["database"] = {
    ...virtual.database,
    asTenant: (...work) => isCut() ? lost() : virtual.database.asTenant(...work),
    lookup: (...work) => isCut() ? lost() : virtual.database.lookup(...work),
  };
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
    machine(more = {}, { isFaulty } = { isFaulty: true }) {
      const database = isFaulty ? cut : virtual.database;
      const services = testServices({ database, clock: kit.clock });
      const deps = { services, kinds: { held }, houseCron: {}, random: () => 1, ...more };
      return kit.system.spawn(jobsKind, `machine ${++machines}`, () => jobs(deps));
    },
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

Deno.test("while they are shed jobs wait, and go on when their machine is told", async () => {
  await using kit = await setUp();
  const tenantId = await newTenant(kit.database);
  let isShed = true;
  const ref = kit.machine({ isShed: () => isShed });
  await kit.settle();
  await kit.add(tenantId, "a");
  await kit.advance(5_000);
  assert.equal(kit.runs.length, 0);
  isShed = false;
  ref.send({ type: "wake" });
  await kit.settle();
  assert.equal(at(kit.runs, 0).key, "a");
  at(kit.runs, 0).end.resolve();
  await kit.settle();
});

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

Deno.test("a job that fails comes back later, and is dead after its last attempt until it is replayed", async () => {
  await using kit = await setUp();
  const tenantId = await newTenant(kit.database);
  await kit.add(tenantId, "a");
  kit.machine();
  await kit.advance(1);
  for (const attempt of [1, 2, 3]) {
    assert.equal(at(kit.runs, -1).attempt, attempt);
    at(kit.runs, -1).end.reject(new AppError("provider_failed", "No answer"));
    await kit.settle();
    assert.equal(kit.runs.length, attempt, "not at once");
    await kit.advance(11_000, 500);
  }
  const [dead] = await kit.list(tenantId);
  assert.deepEqual([dead?.status, dead?.lastError], ["dead", "provider_failed: No answer"]);
  assert.equal(kit.runs.length, 3);
  await kit.as(tenantId, (sql) => updateJobReplayed(sql, tenantId, dead?.id ?? ""));
  await kit.advance(500);
  assert.equal(kit.runs.length, 4);
  assert.equal(at(kit.runs, 3).attempt, 1);
});

Deno.test("what an error says that is not ours is not kept", async () => {
  await using kit = await setUp();
  const tenantId = await newTenant(kit.database);
  await kit.add(tenantId, "a");
  kit.machine();
  await kit.advance(1);
  at(kit.runs, 0).end.reject(new TypeError("sk-secret"));
  await kit.settle();
  assert.equal((await kit.list(tenantId))[0]?.lastError, "TypeError");
});

Deno.test("a lease is renewed while its run goes on, and lost when it cannot be; then it cannot finish", async () => {
  let isCut = false;
  await using kit = await setUp(() => isCut);
  const tenantId = await newTenant(kit.database);
  await kit.add(tenantId, "a");
  const first = kit.machine();
  await kit.advance(1);
  kit.machine({}, { isFaulty: false });
  await kit.advance(120_000, 1_000);
  assert.equal(kit.runs.length, 1, "four leases long it was nobody else's");
  isCut = true;
  await kit.advance(60_000, 1_000);
  assert.equal(kit.runs.length, 2, "the second machine took it");
  assert.ok(at(kit.runs, 0).signal.aborted);
  isCut = false;
  at(kit.runs, 0).end.resolve();
  await kit.settle();
  assert.equal((await kit.list(tenantId))[0]?.status, "running");
  at(kit.runs, 1).end.resolve();
  await kit.settle();
  assert.equal((await kit.list(tenantId))[0]?.status, "done");
  assert.ok(first.id);
});

Deno.test("a drain tells what runs, sends it back uncounted, and takes nothing more", async () => {
  await using kit = await setUp();
  const tenantId = await newTenant(kit.database);
  await kit.add(tenantId, "a", "b");
  const ref = kit.machine();
  await kit.advance(1);
  const drained = ref.ask<void>((reply) => ({ type: "drain", reply }));
  await kit.settle();
  await drained;
  assert.ok(kit.runs.every(({ signal }) => signal.aborted));
  assert.deepEqual(
    (await kit.list(tenantId)).map(({ status, attempt }) => [status, attempt]),
    [["queued", 0], ["queued", 0]],
  );
  await kit.advance(5_000, 500);
  assert.equal(kit.runs.length, 2);
});

Deno.test("ten thousand slow jobs of one tenant keep another's from nothing", async () => {
  await using kit = await setUp();
  const flooding = await newTenant(kit.database);
  const quiet = await newTenant(kit.database);
  await kit.as(flooding, (sql) =>
    sql`
      insert into job (tenant_id, id, kind, key, payload, run_at)
      select ${uuidOf("tenant", flooding)}, gen_random_uuid(), 'held', n::text, '{}', app_now()
      from generate_series(1, ${FLOOD}::int) n`);
  const ref = kit.machine();
  await kit.advance(1);
  assert.equal(kit.runs.length, OF_TENANT_MAX, "half of the machine");
  for (let i = 0; i < 5; i++) {
    await kit.add(quiet, `q${i}`);
    ref.send({ type: "wake" });
    await kit.settle();
    const mine = kit.runs.filter(({ tenantId }) => tenantId === quiet);
    assert.equal(mine.length, i + 1, "it began at once");
    at(mine, -1).end.resolve();
    await kit.settle();
  }
});

Deno.test("a pattern gives every tenant one job a tick, from whichever of many machines", async () => {
  await using kit = await setUp();
  const tenants = [await newTenant(kit.database), await newTenant(kit.database)];
  const seen: string[] = [];
  const hourly = jobKind({
    payload: z.strictObject({}),
    attempts: 3,
    leaseMs: 30_000,
    cron: { pattern: "0 * * * *" },
    run({ tenantId, job }) {
      if (tenants.includes(tenantId)) seen.push(`${tenantId} ${job.key}`);
      return Promise.resolve();
    },
  });
  let houseRuns = 0;
  const house = { pattern: "30 * * * *", run: () => Promise.resolve(void houseRuns++) };
  for (let i = 0; i < 3; i++) kit.machine({ kinds: { hourly }, houseCron: { house } });
  await kit.advance(2.6 * 60 * 60_000, 10_000);
  const ticks = ["2026-01-05T10:00:00.000Z", "2026-01-05T11:00:00.000Z"];
  const expected = ticks.flatMap((tick) => tenants.map((tenantId) => `${tenantId} ${tick}`));
  assert.deepEqual(seen.sort(), expected.sort());
  assert.equal(houseRuns, 3);
});
