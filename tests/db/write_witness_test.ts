/** The harness's witness sees every write that the fence would have refused, whoever made it and when. */

import assert from "node:assert/strict";
import type { Database, Sql } from "@/db/client.ts";
import { updateCallAnswered } from "@/db/calls.ts";
import { type Boot, buryNode, claimActor, insertNode, releaseActor } from "@/db/cluster.ts";
import { appendEvents } from "@/db/events.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, insertedCall, newStaffedTenant } from "@/tests/support/rows.ts";
import { countWrites, staleWrites, watchWrites } from "@/tests/support/write_witness.ts";

const { open } = await testDatabase();

Deno.test.beforeAll(async () => {
  await using database = await open();
  await watchWrites(database);
});

const AT = { address: "10.0.0.1:8000", region: "iad", version: "1", weight: 300 };

/** A call, and two machines that write of it without any fence. */
async function setUp(database: Database) {
  const staffed = await newStaffedTenant(database);
  const { tenantId } = staffed;
  const call = await insertedCall(database, staffed);

  function as<T>(writer: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    return database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
      await sql`select set_config('application_name', ${writer}, true)`;
      return await work(sql);
    });
  }
  async function machine(nodeId: string) {
    const incarnation = await as(nodeId, (sql) => insertNode(sql, { nodeId, ...AT }));
    const boot: Boot = { nodeId, incarnation };
    const actor = { kind: "call", id: call.id };
    return {
      claim: () => as(nodeId, (sql) => claimActor(sql, actor, boot)),
      release: (epoch: number) =>
        as(nodeId, (sql) => releaseActor(sql, { ...actor, ...boot, epoch })),
      bury: () => as(nodeId, (sql) => buryNode(sql, boot, 0)),
      write: (seq: number) =>
        as(nodeId, (sql) => {
          const event = { seq, type: "leg_lost", payload: { epoch: 1 }, at: new Date(0) };
          return appendEvents(sql, [{ tenantId, conversationId: call.id, ...event }]);
        }),
      answer: () => as(nodeId, (sql) => updateCallAnswered(sql, tenantId, call.id, new Date(0))),
    };
  }
  const stale = async () =>
    (await staleWrites(database)).filter(({ callId }) => callId === call.id)
      .map(({ what, seq, writer, epoch, owner }) => [what, seq, writer, epoch, owner] as const);
  return { a: await machine("a"), b: await machine("b"), stale };
}

Deno.test("writes of each owner in its turn are as they should be", async () => {
  await using database = await open();
  const { a, b, stale } = await setUp(database);
  const before = await countWrites(database);
  await a.claim();
  await a.write(1);
  await a.answer();
  await a.bury();
  await b.claim();
  await b.write(2);
  assert.deepEqual(await stale(), []);
  assert.equal(await countWrites(database), before + 3);
});

Deno.test("a write of somebody else, of the last owner, or while nobody owns the call is stale", async () => {
  await using database = await open();
  const { a, b, stale } = await setUp(database);
  await a.claim();
  await b.write(1);
  await a.bury();
  await b.claim();
  await a.write(2);
  await a.answer();
  await b.release(2);
  await b.write(3);
  assert.deepEqual(await stale(), [
    ["leg_lost", 1, "b", 1, "a"],
    ["leg_lost", 2, "a", 2, "b"],
    ["status live", null, "a", 2, "b"],
    ["leg_lost", 3, "b", null, null],
  ]);
});

Deno.test("an event of a later owner before one of an earlier owner is stale", async () => {
  await using database = await open();
  const { a, b, stale } = await setUp(database);
  await a.claim();
  await a.write(5);
  await a.bury();
  await b.claim();
  await b.write(4);
  assert.deepEqual(await stale(), [["leg_lost", 5, "a", 1, "a"]]);
});
