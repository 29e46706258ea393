/** The node's actor: it joins, beats, watches and buries by its own clock, and comes back when it was buried. */

import assert from "node:assert/strict";
import { newHoldings } from "@/actors/cluster/holdings.ts";
import type { Directory } from "@/actors/cluster/directory.ts";
import { mayAct, TIMINGS } from "@/actors/cluster/membership.ts";
import { node, type NodeActorState, nodeKind } from "@/actors/cluster/node.ts";
import type { ActorKey, Boot } from "@/db/cluster.ts";
import { AppError } from "@/lib/errors.ts";
import { silentLog } from "@/lib/log.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { type ClusterTables, clusterTables } from "@/tests/support/cluster_tables.ts";

const CALL = { kind: "call", id: "call_1" };
const FACTS = { address: "10.0.0.1:8000", region: "iad", version: "1", weight: 300 };

/** One of the machines over tables that all of them share. */
function machine(kit: ReturnType<typeof actorKit>, tables: ClusterTables, nodeId: string) {
  const holdings = newHoldings();
  const lost: ActorKey[] = [];
  const ended: ActorKey[] = [];
  const link = { isCut: false };
  const asked = <T>(statement: () => T): Promise<T> =>
    link.isCut
      ? Promise.reject(new AppError("database_unavailable", "No answer"))
      : Promise.resolve(statement());
  const directory: Directory = {
    join: () => asked(() => tables.join(nodeId)),
    beat: (boot, _, gone) => asked(() => (ended.push(...gone), tables.beat(boot))),
    nodes: () =>
      asked(() =>
        tables.list().map((it) => ({
          ...FACTS,
          ...it,
          load: 0,
          startedAt: kit.clock.date(),
          seenAt: kit.clock.date(),
        }))
      ),
    counts: () => asked(() => []) as never, // nobody asks for them here
    bury: (boot, beat) => asked(() => tables.bury(boot, beat)),
    drain: (boot) => asked(() => tables.drain(boot)),
    leave: (boot) => asked(() => tables.leave(boot)),
    claim: (actor, boot) => asked(() => tables.claim(actor, boot, tables.snapshot())),
    owner: (actor) => asked(() => tables.owner(actor)),
    release: (fence) => asked(() => tables.release(fence)),
    releaseKinds: () => asked(() => 0), // nobody drains here
    linkKey: () => asked(() => null),
    orderDrain: () => asked(() => false), // nobody drains here
  };
  let seen: NodeActorState | null = null;
  const ref = kit.system.spawn(nodeKind, nodeId, () => {
    const made = node({
      directory,
      node: { nodeId, ...FACTS },
      holdings,
      load: () => 0,
      lost: (actor) => lost.push(actor),
      log: silentLog,
    });
    return { ...made, view: (state) => (seen = state, made.view?.(state)) };
  });
  return {
    ref,
    holdings,
    lost,
    ended,
    link,
    mayAct() {
      kit.system.inspect(nodeKind.name, nodeId);
      return seen !== null && mayAct(seen.membership, kit.clock.now());
    },
  };
}

async function setUp() {
  const kit = actorKit({ seed: 1 });
  const tables = clusterTables();
  const [a, b] = [machine(kit, tables, "a"), machine(kit, tables, "b")];
  await kit.clock.advance(3_000);
  const bootOf = ({ holdings: { boot } }: typeof a): Boot => boot ?? assert.fail("not joined");
  const claim = (by: typeof a): boolean => {
    const owned = tables.claim(CALL, bootOf(by), tables.snapshot());
    return owned !== null && by.holdings.take(owned);
  };
  return { kit, tables, a, b, bootOf, claim };
}

Deno.test("a machine joins, beats and may act; whoever waits for it is told", async () => {
  const { kit, tables, a, bootOf } = await setUp();
  const asked = a.ref.ask<Boot>((reply) => ({ type: "whenJoined", reply }));
  await kit.settle();
  assert.deepEqual(await asked, bootOf(a));
  const beats = tables.nodes.get(bootOf(a).incarnation)?.beat ?? 0;
  await kit.clock.advance(5 * TIMINGS.beatMs);
  assert.equal(tables.nodes.get(bootOf(a).incarnation)?.beat, beats + 5);
  assert.ok(a.mayAct());
  await kit.system.shutdown();
});

Deno.test("one that is cut off stops by itself before the others bury it, and comes back as another boot", async () => {
  const { kit, tables, a, b, bootOf, claim } = await setUp();
  assert.ok(claim(a));
  const first = bootOf(a);
  a.link.isCut = true;
  let stoppedAtMs = 0;
  let buriedAtMs = 0;
  for (let passed = 0; passed < 2 * TIMINGS.ttlMs; passed += 250) {
    await kit.clock.advance(250);
    if (stoppedAtMs === 0 && !a.mayAct()) stoppedAtMs = kit.clock.now();
    if (buriedAtMs === 0 && tables.nodes.get(first.incarnation)?.state === "dead") {
      buriedAtMs = kit.clock.now();
    }
  }
  assert.ok(stoppedAtMs > 0 && buriedAtMs > stoppedAtMs + TIMINGS.guardMs / 2);
  assert.ok(buriedAtMs <= 3_000 + TIMINGS.ttlMs + TIMINGS.beatMs + TIMINGS.watchMs);
  assert.ok(claim(b), "its actor is taken over");
  a.link.isCut = false;
  await kit.clock.advance(2 * TIMINGS.beatMs);
  assert.ok(bootOf(a).incarnation > first.incarnation && a.mayAct());
  assert.deepEqual(a.lost, [CALL], "and it is told that it has lost it");
  const stale = a.holdings.fenceOf(CALL);
  assert.ok(stale !== null && !tables.holds(stale) && !a.holdings.isPending(stale));
  await kit.system.shutdown();
});

Deno.test("what nobody has taken meanwhile is claimed anew: a call goes on under the next epoch", async () => {
  const { kit, tables, a, claim } = await setUp();
  assert.ok(claim(a));
  a.link.isCut = true;
  await kit.clock.advance(2 * TIMINGS.ttlMs);
  a.link.isCut = false;
  await kit.clock.advance(2 * TIMINGS.beatMs);
  const fence = a.holdings.fenceOf(CALL);
  assert.equal(fence?.epoch, 2);
  assert.ok(fence !== null && tables.holds(fence));
  assert.deepEqual(a.lost, []);
  await kit.system.shutdown();
});

Deno.test("when the database is away for all, nobody is buried, and all go on in place", async () => {
  const { kit, a, b, bootOf } = await setUp();
  const before = [bootOf(a), bootOf(b)];
  for (const { link } of [a, b]) link.isCut = true;
  await kit.clock.advance(6 * TIMINGS.ttlMs);
  assert.ok(!a.mayAct() && !b.mayAct());
  for (const { link } of [a, b]) link.isCut = false;
  await kit.clock.advance(TIMINGS.retryMs);
  assert.ok(a.mayAct() && b.mayAct());
  await kit.clock.advance(3 * TIMINGS.ttlMs);
  assert.deepEqual([bootOf(a), bootOf(b)], before);
  await kit.system.shutdown();
});

Deno.test("one that drains says so even when it has been buried since; rows of what has ended go with a beat", async () => {
  const { kit, tables, a, bootOf, claim } = await setUp();
  a.ref.send({ type: "drain" });
  a.ref.send({ type: "ended", actor: CALL });
  await kit.clock.advance(TIMINGS.beatMs);
  assert.equal(tables.nodes.get(bootOf(a).incarnation)?.state, "draining");
  assert.deepEqual(a.ended, [CALL]);
  assert.ok(!claim(a));
  a.link.isCut = true;
  await kit.clock.advance(2 * TIMINGS.ttlMs);
  a.link.isCut = false;
  await kit.clock.advance(2 * TIMINGS.beatMs);
  assert.equal(tables.nodes.get(bootOf(a).incarnation)?.state, "draining");
  await kit.system.shutdown();
});
