/** Movable actors: one machine has each, pauses when it may not act, and gives it up when it ends. */

import assert from "node:assert/strict";
import type { Directory } from "@/actors/cluster/directory.ts";
import { releaseMovables } from "@/actors/cluster/movables.ts";
import type { Reply } from "@/actors/runtime/actor.ts";
import type { AppError } from "@/lib/errors.ts";
import {
  type Machine,
  type MachinesKit,
  machinesKit,
  movableKind,
  type SumMessage,
} from "@/tests/support/linked_machines.ts";

const ID = "tenant_1";
const ACTOR = { kind: movableKind.name, id: ID };
const total = (reply: Reply<number>): SumMessage => ({ type: "sum", reply });

/** Three machines with links; `owner` has the actor, which counts 1. */
async function setUp() {
  const kit = machinesKit();
  const machines = ["a", "b", "c"].map(kit.machine);
  await kit.look();
  await kit.clock.advance(300);
  const refs = machines.map(({ neighbours: { router } }) => router.ref(movableKind, ID));
  refs[0]?.send({ type: "add", amount: 1 });
  await kit.clock.settle();
  const owner = machines.find(owns) ?? assert.fail("nobody has it");
  const sums = async (of = refs, ms = 0): Promise<unknown[]> => {
    const settled: unknown[] = of.map(() => null);
    of.forEach((ref, nth) =>
      ref.ask<number>(total).then(
        (sum) => settled[nth] = sum,
        (error: AppError) => settled[nth] = error.code,
      )
    );
    await kit.clock.advance(ms);
    return settled;
  };
  return { kit, machines, refs, owner, sums };
}

function owns({ holdings }: Machine): boolean {
  return holdings.fenceOf(ACTOR) !== null;
}

/** As the house does it. */
function release(kit: MachinesKit, { system, holdings, neighbours }: Machine): Promise<number> {
  const kinds = neighbours.movables.drained();
  const releaseKinds: Directory["releaseKinds"] = ({ incarnation }, released) =>
    Promise.resolve(kit.tables.releaseAll(incarnation, (kind) => released.includes(kind)));
  return releaseMovables({
    ...{ kinds, system, holdings, directory: { releaseKinds }, clock: kit.clock },
  });
}

Deno.test("whoever asks first, one machine has the actor, and all reach it", async () => {
  const { kit, machines, owner, refs, sums } = await setUp();
  for (const ref of refs) ref.send({ type: "add", amount: 1 });
  await kit.clock.settle();
  assert.deepEqual(await sums(), [4, 4, 4]);
  assert.deepEqual(machines.filter(owns), [owner]);
  assert.equal(machines.filter(({ handled }) => handled.length > 0).length, 1);
});

Deno.test("past its deadline a machine pauses the actor and keeps its state; then it answers what has waited", async () => {
  const { kit, owner, refs, sums } = await setUp();
  owner.holdings.extend(kit.clock.now());
  refs[0]?.send({ type: "add", amount: 1 });
  assert.deepEqual(await sums(refs, 1_000), [null, null, null]);
  const paused = sums();
  owner.holdings.extend(Infinity);
  await paused;
  assert.deepEqual(await sums(refs, 200), [2, 2, 2]);
  assert.equal(
    owner.handled.filter((it) => it.includes("add")).length,
    2,
    "nothing was done twice",
  );
});

Deno.test("of a machine that is dead another one takes the actor, under the next epoch", async () => {
  const { kit, machines, owner, sums } = await setUp();
  owner.holdings.extend(-Infinity); // long ago, or it would not be buried
  const node = kit.tables.nodes.get(owner.boot.incarnation) ?? assert.fail();
  assert.ok(kit.tables.bury(owner.boot, node.beat));
  await kit.look();
  const others = machines.filter((it) => it !== owner);
  const refs = others.map(({ neighbours: { router } }) => router.ref(movableKind, ID));
  assert.deepEqual(await sums(refs), [0, 0], "begun anew");
  assert.equal(kit.tables.owner(ACTOR)?.epoch, 2);
});

Deno.test("a machine that drains has freed its actors at once; who needs one claims it", async () => {
  const { kit, owner, machines, sums } = await setUp();
  kit.tables.drain(owner.boot);
  await kit.look();
  owner.system.drain();
  const drained = release(kit, owner);
  await kit.clock.advance(100);
  await drained;
  assert.equal(kit.tables.owner(ACTOR)?.owner, null);
  assert.equal(owner.system.find(movableKind, ID), null);
  const others = machines.filter((it) => it !== owner);
  const refs = others.map(({ neighbours: { router } }) => router.ref(movableKind, ID));
  assert.deepEqual(await sums(refs), [0, 0]);
  assert.deepEqual(machines.filter(owns).length, 1);
  assert.ok(!owns(owner));
});

Deno.test("the last machine that is active keeps what it has while it drains", async () => {
  const kit = machinesKit();
  const only = kit.machine("a");
  await kit.look();
  const ref = only.neighbours.router.ref(movableKind, ID);
  ref.send({ type: "add", amount: 1 });
  await kit.clock.settle();
  kit.tables.drain(only.boot);
  await kit.look();
  only.system.drain({ serves: [movableKind.name] });
  await release(kit, only);
  const sum = ref.ask<number>(total);
  await kit.clock.settle();
  assert.equal(await sum, 1);
});

Deno.test("an actor that nobody needs ends, and its row is free", async () => {
  const { kit, owner } = await setUp();
  await kit.clock.advance(2 * 60_000);
  assert.equal(owner.system.find(movableKind, ID), null);
  assert.equal(kit.tables.owner(ACTOR)?.owner, null);
  assert.ok(!owns(owner));
});

Deno.test("a machine that has not joined owns nothing, and asks get no answer that could be wrong", async () => {
  const kit = machinesKit();
  const a = kit.machine("a");
  a.holdings.buried();
  const ask = a.neighbours.router.ref(movableKind, ID).ask<number>(total);
  await assert.rejects(ask, { code: "actor_stopped" });
});

Deno.test("what one machine sends arrives in its order, also while the owner is being looked for", async () => {
  const kit = machinesKit();
  const machines = ["a", "b", "c"].map(kit.machine);
  await kit.look();
  await kit.clock.advance(300);
  const sums: Promise<number>[] = [];
  for (const { neighbours: { router } } of machines) {
    for (const id of ["x", "y", "z"]) {
      const ref = router.ref(movableKind, id);
      for (const amount of [1, 2, 3]) ref.send({ type: "add", amount });
      sums.push(ref.ask<number>(total));
    }
  }
  await kit.clock.settle();
  for (const sum of await Promise.all(sums)) assert.ok(sum >= 6, "its own were there before it");
  const handled = machines.flatMap(({ handled }) => handled);
  assert.equal(handled.filter((it) => it.includes("add")).length, 27);
});
