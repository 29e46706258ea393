/** The statements of ownership: each as the model has it, and what only a database can show. */

import assert from "node:assert/strict";
import {
  beatNode,
  type Boot,
  buryNode,
  claimActor,
  countOwned,
  deleteDeadNodes,
  deleteOwned,
  drainNode,
  type Fence,
  getOwner,
  holdsActor,
  insertNode,
  leaveNode,
  listNodes,
  orderDrain,
  releaseActor,
  releaseKinds,
  takeCall,
} from "@/db/cluster.ts";
import type { Database, Sql } from "@/db/client.ts";
import { prng } from "@/tests/support/actor_kit.ts";
import { clusterTables } from "@/tests/support/cluster_tables.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

const STEPS = 400;
const CALL = { kind: "call", id: "call_1" };
const AT = { address: "10.0.0.1:8000", region: "iad", version: "1", weight: 300 };

function ask<T>(database: Database, work: (sql: Sql) => Promise<T>): Promise<T> {
  return database.lookup("calls", DEADLINE_MS, work);
}

async function join(database: Database, nodeId: string): Promise<Boot> {
  const incarnation = await ask(database, (sql) => insertNode(sql, { nodeId, ...AT }));
  return { nodeId, incarnation };
}

/** Two machines, and nothing left of the test before. */
async function setUp(database: Database): Promise<{ readonly a: Boot; readonly b: Boot }> {
  await database.asOwner(DEADLINE_MS, (sql) => sql`truncate actor_owner, node`);
  return { a: await join(database, "a"), b: await join(database, "b") };
}

Deno.test("whatever is asked in whatever order, the database answers as the model does", async () => {
  await using database = await open();
  const random = prng(7);
  const below = (count: number): number => Math.floor(random() * count);
  const tables = clusterTables();
  /** The same boot there and here. */
  const boots: (readonly [real: Boot, simulated: Boot])[] = [];
  const fences: (readonly [real: Fence, simulated: Fence])[] = [];
  const actors = ["1", "2", "3"].map((id) => ({ kind: "tenant", id }));
  await database.asOwner(DEADLINE_MS, (sql) => sql`truncate actor_owner, node`);
  const said: string[] = [];
  for (let nth = 0; nth < STEPS; nth++) {
    const nodeId = `n${below(3)}`;
    const pair = boots[below(boots.length)];
    const actor = actors[below(actors.length)];
    const step = pair === undefined ? 0 : 1 + below(13);
    if (step === 0 || (step === 1 && boots.length < 40)) {
      boots.push([await join(database, nodeId), { nodeId, incarnation: tables.join(nodeId) }]);
      continue;
    }
    if (pair === undefined || actor === undefined) continue;
    const [real, simulated] = pair;
    const theirs = (owner: Boot | null): number =>
      owner === null ? -1 : boots.findIndex(([it]) => it.incarnation === owner.incarnation);
    const ours = (owner: Boot | null): number =>
      owner === null ? -1 : boots.findIndex(([, it]) => it.incarnation === owner.incarnation);
    const [fence, twin] = fences[below(fences.length)] ?? [];
    const both = await ask(database, async (sql): Promise<readonly [unknown, unknown]> => {
      switch (step) {
        case 2:
        case 3: {
          const seen = below(3);
          return [await buryNode(sql, real, seen), tables.bury(simulated, seen)];
        }
        case 4:
          if (below(4) > 0) return [0, 0];
          return [await drainNode(sql, real), tables.drain(simulated)];
        case 5:
          if (below(3) > 0) return [0, 0];
          return [await leaveNode(sql, real), tables.leave(simulated)];
        case 6:
          if (fence === undefined || twin === undefined) return [0, 0];
          return [await holdsActor(sql, fence), tables.holds(twin)];
        case 7:
          if (fence === undefined || twin === undefined) return [0, 0];
          return [await releaseActor(sql, fence), tables.release(twin)];
        case 8:
          return [await beatNode(sql, real, 0), tables.beat(simulated)];
        case 9: {
          if (fence === undefined || twin === undefined) return [0, 0];
          const isFree = below(4) === 0;
          const seenBy = (it: Fence) => ({ ...it, owner: isFree ? null : it });
          const there = await takeCall(sql, seenBy(fence), real);
          const here = tables.take(seenBy(twin), simulated);
          if (there?.owner && here?.owner) {
            fences.push([
              { ...there, ...there.owner },
              { ...here, ...here.owner },
            ]);
          }
          return [
            there && [there.epoch, theirs(there.owner)],
            here && [here.epoch, ours(here.owner)],
          ];
        }
        default: {
          const there = await claimActor(sql, actor, real);
          const here = tables.claim(actor, simulated, tables.snapshot());
          if (there?.owner && here?.owner) {
            fences.push([
              { ...actor, epoch: there.epoch, ...there.owner },
              { ...actor, epoch: here.epoch, ...here.owner },
            ]);
          }
          return [
            there && [there.epoch, theirs(there.owner)],
            here && [here.epoch, ours(here.owner)],
          ];
        }
      }
    });
    said.push(JSON.stringify(both));
    assert.deepEqual(both[0], both[1], `step ${nth}: ${step}`);
    const states = await ask(database, (sql) => listNodes(sql));
    assert.deepEqual(
      states.map(({ nodeId, state, beat }) => [nodeId, state, beat]).sort(),
      tables.list().map(({ nodeId, state, beat }) => [nodeId, state, beat]).sort(),
    );
  }
  assert.ok(new Set(said).size > 15, "it has been asked different things");
});

Deno.test("dead never changes again, whatever is said of it", async () => {
  await using database = await open();
  const { a } = await setUp(database);
  assert.equal(await ask(database, (sql) => buryNode(sql, a, 0)), true);
  assert.equal(await ask(database, (sql) => beatNode(sql, a, 1)), "dead");
  const revived = await ask(
    database,
    (sql) => sql`update node set state = 'active', beat = 9 where node_id = ${a.nodeId}`,
  );
  assert.equal(revived.count, 0, "not even by a statement that forgets to ask");
});

Deno.test("a beat that comes first refuses the burial, and one that comes after it is told", async () => {
  await using database = await open();
  const { a, b } = await setUp(database);
  assert.equal(await ask(database, (sql) => beatNode(sql, a, 0)), "active");
  assert.equal(await ask(database, (sql) => buryNode(sql, a, 0)), false);
  assert.equal(await ask(database, (sql) => buryNode(sql, b, 0)), true);
  assert.equal(await ask(database, (sql) => beatNode(sql, b, 0)), "dead");
});

Deno.test("of many that claim an actor at once, one owns it, and all are told who", async () => {
  await using database = await open();
  const { a, b } = await setUp(database);
  const claims = await Promise.all(
    Array.from(
      { length: 20 },
      (_, nth) => ask(database, (sql) => claimActor(sql, CALL, nth % 2 ? a : b)),
    ),
  );
  const owner = await ask(database, (sql) => getOwner(sql, CALL));
  assert.ok(owner?.owner);
  for (const claim of claims) if (claim !== null) assert.deepEqual(claim, owner);
  assert.equal(owner.epoch, 1);
});

Deno.test("no write commits after the claim that ends its epoch", async () => {
  await using database = await open();
  if (database.isEmbedded) return; // one transaction at a time: nothing can come between
  const { a, b } = await setUp(database);
  await ask(database, (sql) => claimActor(sql, CALL, a));
  const held = Promise.withResolvers<void>();
  const order: string[] = [];
  const write = ask(database, async (sql) => {
    assert.equal(await holdsActor(sql, { ...CALL, ...a, epoch: 1 }), true);
    held.resolve();
    await sql`select pg_sleep(0.3)`; // its commit is on the way
  }).then(() => order.push("write"));
  await held.promise;
  await ask(database, (sql) => buryNode(sql, a, 0));
  await ask(database, (sql) => claimActor(sql, CALL, b)).then(() => order.push("claim"));
  await write;
  assert.deepEqual(order, ["write", "claim"]);
  assert.equal(await ask(database, (sql) => holdsActor(sql, { ...CALL, ...a, epoch: 1 })), false);
});

Deno.test("a machine that leaves has released all in one statement; one that drains claims nothing", async () => {
  await using database = await open();
  const { a, b } = await setUp(database);
  const tenant = { kind: "tenant", id: "1" };
  for (const actor of [CALL, tenant]) await ask(database, (sql) => claimActor(sql, actor, a));
  await ask(database, (sql) => drainNode(sql, a));
  assert.equal(
    await ask(database, (sql) => claimActor(sql, { kind: "tenant", id: "2" }, a)),
    null,
  );
  assert.equal(await ask(database, (sql) => releaseKinds(sql, a, ["tenant"])), 1);
  assert.equal((await ask(database, (sql) => claimActor(sql, tenant, b)))?.epoch, 2);
  await ask(database, (sql) => leaveNode(sql, a));
  const call = await ask(database, (sql) => claimActor(sql, CALL, b));
  assert.deepEqual(call, { ...CALL, epoch: 2, owner: b });
  assert.deepEqual([...await ask(database, countOwned)], [
    { ...b, kind: "call", actors: 1 },
    { ...b, kind: "tenant", actors: 1 },
  ]);
});

Deno.test("whoever asks may have a machine drain, and says how; the dead and those that are none cannot", async () => {
  await using database = await open();
  const { a, b } = await setUp(database);
  const order = { calls: "handOver", deadlineMs: 1_000 } as const;
  const told = (nodeId: string): Promise<boolean> =>
    ask(database, (sql) => orderDrain(sql, nodeId, order));
  assert.deepEqual([await told("a"), await told("c")], [true, false]);
  const [first, second] = await ask(database, listNodes);
  assert.deepEqual([first?.state, first?.drain], ["draining", order]);
  assert.deepEqual([second?.state, second?.drain], ["active", null]);
  assert.equal(await ask(database, (sql) => beatNode(sql, a, 1)), "draining");
  assert.equal(await ask(database, (sql) => claimActor(sql, CALL, a)), null);
  await ask(database, (sql) => leaveNode(sql, b));
  assert.equal(await told("b"), false);
});

Deno.test("what has ended is removed by its owner alone, and dead machines once they own nothing", async () => {
  await using database = await open();
  const { a, b } = await setUp(database);
  await ask(database, (sql) => claimActor(sql, CALL, a));
  await ask(database, (sql) => deleteOwned(sql, b, [CALL]));
  assert.equal((await ask(database, (sql) => getOwner(sql, CALL)))?.epoch, 1);
  await ask(database, (sql) => buryNode(sql, a, 0));
  const rows = () =>
    database.asOwner(DEADLINE_MS, (sql) => sql<{ nodeId: string }[]>`select node_id from node`);
  await ask(database, (sql) => deleteDeadNodes(sql, -1));
  assert.equal((await rows()).length, 2, "it owns something");
  await ask(database, (sql) => deleteOwned(sql, a, [CALL]));
  await ask(database, (sql) => deleteDeadNodes(sql, -1));
  assert.deepEqual((await rows()).map(({ nodeId }) => nodeId), ["b"]);
  assert.equal(await ask(database, (sql) => getOwner(sql, CALL)), null);
});

Deno.test("a call is taken from an owner that lives, by one of all that have seen it there, and its fence is no more", async () => {
  await using database = await open();
  const { a, b } = await setUp(database);
  const c = await join(database, "c");
  const seen = await ask(database, (sql) => claimActor(sql, CALL, a));
  assert.ok(seen);
  const fence = { ...CALL, epoch: seen.epoch, ...a };
  const takes = await Promise.all(
    [b, c, b, c].map((boot) => ask(database, (sql) => takeCall(sql, seen, boot))),
  );
  const taken = takes.filter((it) => it !== null);
  assert.deepEqual(taken.map(({ epoch }) => epoch), [2]);
  assert.equal(await ask(database, (sql) => holdsActor(sql, fence)), false);
  assert.equal(await ask(database, (sql) => takeCall(sql, seen, a)), null, "it is seen no more");
  const [now] = taken;
  assert.ok(now);
  await ask(database, (sql) => drainNode(sql, c));
  assert.equal(await ask(database, (sql) => takeCall(sql, now, c)), null, "who drains takes none");
  await ask(database, (sql) => releaseActor(sql, { ...now, ...(now.owner ?? a) }));
  const free = { ...now, owner: null };
  assert.equal((await ask(database, (sql) => takeCall(sql, free, a)))?.epoch, 3);
});

Deno.test("a taking waits for the write under the last fence, and reads it", async () => {
  await using database = await open();
  const { a, b } = await setUp(database);
  const seen = await ask(database, (sql) => claimActor(sql, CALL, a));
  assert.ok(seen);
  const order: string[] = [];
  const held = Promise.withResolvers<void>();
  const writing = database.lookup("calls", DEADLINE_MS, async (sql) => {
    assert.equal(await holdsActor(sql, { ...CALL, epoch: 1, ...a }), true);
    held.resolve();
    await sql`select pg_sleep(0.05)`;
    order.push("written");
  });
  await held.promise;
  const taking = database.lookup("rest", DEADLINE_MS, async (sql) => {
    assert.equal((await takeCall(sql, seen, b))?.epoch, 2);
    order.push("taken");
  });
  await Promise.all([writing, taking]);
  assert.deepEqual(order, ["written", "taken"]);
});
