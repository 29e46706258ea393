/** What another machine owns is written by nobody else: the recorder's events, and the rows of calls. */

import assert from "node:assert/strict";
import { newHoldings } from "@/actors/cluster/holdings.ts";
import { ownership } from "@/actors/call/ownership.ts";
import { callStore } from "@/actors/call/store.ts";
import { recorder, recorderKind } from "@/actors/recorder/recorder.ts";
import { getCall } from "@/db/calls.ts";
import type { Database, Sql } from "@/db/client.ts";
import { type Boot, buryNode, claimActor, insertNode } from "@/db/cluster.ts";
import { listEvents } from "@/db/events.ts";
import { silentLog } from "@/lib/log.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, insertedCall, newStaffedTenant } from "@/tests/support/rows.ts";
import { virtualDatabase } from "@/tests/support/virtual_database.ts";

const { open } = await testDatabase();

const AT = { address: "10.0.0.1:8000", region: "iad", version: "1", weight: 300 };
const ENDED = {
  outcome: "answered",
  reason: "caller_hung_up",
  variables: {},
  usage: null,
} as const;

/** A machine that holds two calls, and another one that may take them over. */
async function setUp(real: Database) {
  const kit = actorKit({ seed: 1 });
  const { database, advance } = virtualDatabase(real, kit.clock);
  const ask = <T>(work: (sql: Sql) => Promise<T>): Promise<T> =>
    real.lookup("rest", DEADLINE_MS, work);
  const join = async (nodeId: string): Promise<Boot> => ({
    nodeId,
    incarnation: await ask((sql) => insertNode(sql, { nodeId, ...AT })),
  });
  const [mine, other] = [await join("a"), await join("b")];
  const staffed = await newStaffedTenant(real);
  const { tenantId } = staffed;
  const calls = [await insertedCall(real, staffed), await insertedCall(real, staffed)];
  const holdings = newHoldings();
  holdings.joined(mine);
  const keyOf = (id: string) => ({ kind: "call", id });
  const claim = (id: string, boot: Boot) => ask((sql) => claimActor(sql, keyOf(id), boot));
  for (const { id } of calls) {
    const owned = await claim(id, mine);
    assert.ok(owned !== null && holdings.take(owned));
  }
  const stopped: string[] = [];
  const fenceOf = (id: string) => holdings.fenceOf(keyOf(id));
  const fences = {
    fenceOf,
    isPending: holdings.isPending,
    fenced: (id: string) => void stopped.push(id),
  };
  const store = (nth: number) => {
    const callId = calls[nth]?.id ?? assert.fail();
    return callStore({ tenantId, callId }, { database, recorder: ref, fenceOf });
  };
  const ref = kit.system.spawn(
    recorderKind,
    "recorder",
    () => recorder({ database, fences, log: silentLog }),
  );
  return {
    kit,
    advance,
    claim,
    holdings,
    mine,
    other,
    stopped,
    store,
    ids: calls.map(({ id }) => id),
    bury: (boot: Boot) => ask((sql) => buryNode(sql, boot, 0)),
    join,
    tell(nth: number, seq: number) {
      store(nth).record(seq, { type: "leg_lost", epoch: 1 }, new Date(0));
    },
    stored: (nth: number) =>
      real.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
        const page = { after: 0, limit: 10 };
        const events = await listEvents(sql, tenantId, calls[nth]?.id ?? "", page);
        return events.map(({ seq }) => seq);
      }),
    status: (nth: number) =>
      real.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
        return (await getCall(sql, tenantId, calls[nth]?.id ?? ""))?.status;
      }),
  };
}

const never = new AbortController().signal;

Deno.test("events of a call that another machine has taken are refused, and those of others stored", async () => {
  await using database = await open();
  const { kit, advance, tell, stored, stopped, ids, bury, mine, claim, other } = await setUp(
    database,
  );
  tell(0, 1);
  await advance(100);
  await bury(mine);
  await claim(ids[0] ?? "", other);
  tell(0, 2);
  tell(1, 1);
  await advance(100);
  assert.deepEqual([await stored(0), await stored(1)], [[1], [1]]);
  assert.deepEqual(stopped, [ids[0]], "and the call is told to stop here");
  await kit.system.shutdown();
});

Deno.test("the row of a call that another machine has taken is not ended here, not even when it is over", async () => {
  await using database = await open();
  const { kit, store, status, ids, bury, mine, claim, other, holdings } = await setUp(database);
  const [taken, kept] = [store(0), store(1)];
  const end = { ...ENDED, answeredAt: null, endedAt: kit.clock.date() };
  await taken.saveLive(kit.clock.date(), never);
  await bury(mine);
  await claim(ids[0] ?? "", other);
  await assert.rejects(taken.saveEnd(end, never), { code: "fenced" });
  holdings.drop({ kind: "call", id: ids[0] ?? "" });
  await assert.rejects(taken.saveEnd(end, never), { code: "fenced" });
  await kept.saveEnd(end, never);
  assert.deepEqual([await status(0), await status(1)], ["live", "ended"]);
  await kit.system.shutdown();
});

Deno.test("what a buried machine writes waits until its calls are claimed anew, and none of it is lost", async () => {
  await using database = await open();
  const { kit, advance, tell, stored, stopped, ids, bury, mine, claim, other, join, holdings } =
    await setUp(database);
  await bury(mine);
  const again = await join("a");
  await claim(ids[0] ?? "", other); // so that its fence is refused, and nobody knows yet
  holdings.buried();
  tell(0, 1);
  tell(1, 1);
  await advance(100);
  assert.deepEqual([await stored(0), stopped], [[], []]);
  holdings.joined(again);
  const owned = await claim(ids[1] ?? "", again);
  assert.ok(owned !== null && holdings.take(owned) && owned.epoch === 2);
  holdings.lose({ kind: "call", id: ids[0] ?? "" });
  await advance(3_000, 100);
  assert.deepEqual([await stored(0), await stored(1)], [[], [1]]);
  assert.deepEqual(stopped, [ids[0]]);
  await kit.system.shutdown();
});

Deno.test("a late report ends a call of a dead machine, and none that another has taken to go on with", async () => {
  await using real = await open();
  const { ids: [dead = "", taken = ""], claim, mine, other, bury, join } = await setUp(real);
  const third = await join("c");
  assert.equal(await bury(mine), true);
  assert.deepEqual((await claim(taken, third))?.owner, third);
  const holdings = newHoldings();
  holdings.joined(other);
  const { own } = ownership(holdings);
  const ask = (id: string) => real.lookup("rest", DEADLINE_MS, (sql) => own(sql, id));
  assert.deepEqual([await ask(dead), await ask(taken)], [true, false]);
  assert.equal(holdings.fenceOf({ kind: "call", id: dead })?.epoch, 2);
  assert.equal(holdings.fenceOf({ kind: "call", id: taken }), null);
  assert.equal(await ask("call_of_nobody"), true);
});

Deno.test("a call that was taken without an answer is this machine's, where it never lived here", async () => {
  await using real = await open();
  const { ids: [call = ""], other, mine, claim } = await setUp(real);
  assert.deepEqual((await claim(call, mine))?.owner, mine);
  const holdings = newHoldings();
  holdings.joined(other);
  const { seen, take } = ownership(holdings);
  const takeAs = (isDoubtful: boolean) =>
    real.lookup(
      "rest",
      DEADLINE_MS,
      async (sql) => await take(sql, call, { seen: await seen(sql, call), isDoubtful }),
    );
  assert.equal(await takeAs(false), "machineLost"); // and say that its answer was lost
  assert.equal(await takeAs(false), null, "it was here, and is no more");
  assert.equal(await takeAs(true), "machineLost");
  assert.equal(holdings.fenceOf({ kind: "call", id: call })?.epoch, 2, "taken once");
});
