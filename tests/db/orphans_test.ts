/** Calls whose machine is dead: found for every tenant by id alone, called back, or ended with a reason. */

import assert from "node:assert/strict";
import { newHoldings } from "@/actors/cluster/holdings.ts";
import { newOrphans } from "@/actors/call/orphans.ts";
import { ownership } from "@/actors/call/ownership.ts";
import { callStore } from "@/actors/call/store.ts";
import type { Outfit } from "@/actors/desk/equipment.ts";
import { recorder, recorderKind } from "@/actors/recorder/recorder.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { getCall, insertCall } from "@/db/calls.ts";
import {
  type Boot,
  buryNode,
  claimActor,
  getOwner,
  insertNode,
  releaseActor,
} from "@/db/cluster.ts";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { ROOM_CARRIER } from "@/lib/providers/carrier/room.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newCall, newStaffedTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();
const AT = { address: "10.0.0.1:80", region: "here", version: "1", weight: 10 };
const never = (): AbortSignal => new AbortController().signal;

async function setUp(as: Parameters<typeof newCall>[1] = {}) {
  const database = await open();
  const { tenantId, agentId } = await newStaffedTenant(database);
  const ask = <T>(work: Parameters<typeof database.lookup<T>>[2]): Promise<T> =>
    database.lookup("jobs", DEADLINE_MS, work);
  const boot = async (nodeId: string): Promise<Boot> => ({
    nodeId,
    incarnation: await ask((sql) => insertNode(sql, { ...AT, nodeId })),
  });
  const one = await boot("one");
  const two = await boot("two");
  const { call } = await database.asTenant(
    "calls",
    tenantId,
    DEADLINE_MS,
    (sql) => insertCall(sql, tenantId, newCall(agentId, as)),
  );
  await ask((sql) => claimActor(sql, { kind: "call", id: call.id }, one));

  const holdings = newHoldings();
  holdings.joined(two);
  const calls = ownership(holdings);
  const system = newSystem({ clock: systemClock, log: silentLog });
  const events = system.spawn(
    recorderKind,
    "recorder",
    () => recorder({ database, log: silentLog }),
  );
  const asked: string[] = [];
  const carrier = { goesOn: true };
  const room = { isThere: true };
  const rooms = {
    goOn({ carrierCallId }: { readonly carrierCallId: string }) {
      asked.push(`room ${carrierCallId}`);
      return Promise.resolve(room.isThere);
    },
  };
  const outfit = {
    carrier: {
      redirect(carrierCallId: string, url: string) {
        asked.push(`${carrierCallId} ${url}`);
        return Promise.resolve(carrier.goesOn);
      },
    },
  } as unknown as Outfit; // nothing else of it is used
  const orphans = newOrphans({
    database,
    equipment: { outfit: () => Promise.resolve(outfit) },
    resumeUrl: ({ callId, account }) => `${account}/${callId}`,
    own: (callId) => ask((sql) => calls.own(sql, callId)),
    isHere: () => false,
    store: (orphan) =>
      callStore(orphan, {
        database,
        recorder: events,
        fenceOf: (id) => holdings.fenceOf({ kind: "call", id }),
      }),
    ended: () => {},
    rooms,
    clock: systemClock,
  });
  const orphan = { tenantId, callId: call.id, isReleased: false };
  return {
    orphans,
    orphan,
    asked,
    carrier,
    room,
    carrierCallId: call.carrierCallId,
    /** Among those of the tests before. */
    isFound: async () =>
      (await orphans.orphans(100)).some(({ callId }) => callId === orphan.callId),
    /** As its machine does that hands it over, and then leaves. */
    release: () => ask((sql) => releaseActor(sql, { kind: "call", id: call.id, epoch: 1, ...one })),
    rows: () => ask(async (sql) => await getOwner(sql, { kind: "call", id: call.id })),
    bury: () => ask((sql) => buryNode(sql, one, 0)),
    buryTaker: () => ask((sql) => buryNode(sql, two, 0)),
    read: () =>
      database.asTenant(
        "calls",
        tenantId,
        DEADLINE_MS,
        (sql) => getCall(sql, tenantId, call.id),
      ),
    async [Symbol.asyncDispose]() {
      await system.shutdown();
      await database.close();
    },
  };
}

Deno.test("a call is an orphan once its machine is buried, and its carrier is asked to come back", async () => {
  await using it = await setUp();
  assert.equal(await it.isFound(), false);
  await it.bury();
  assert.equal(await it.isFound(), true);
  assert.equal(await it.orphans.recall(it.orphan, never()), "asked");
  assert.deepEqual(it.asked, [`${it.carrierCallId} house/${it.orphan.callId}`]);
  assert.equal((await it.read())?.status, "ringing", "whoever is asked goes on with it");
});

Deno.test("a call that has ended at its carrier ends here, with the reason", async () => {
  await using it = await setUp();
  await it.bury();
  it.carrier.goesOn = false;
  assert.equal(await it.orphans.recall(it.orphan, never()), "ended");
  const call = await it.read();
  assert.deepEqual([call?.status, call?.outcome, call?.reason], [
    "ended",
    "failed",
    "machine_lost",
  ]);
  assert.equal(await it.isFound(), false);
});

Deno.test("nobody ends a call whose machine may live", async () => {
  await using it = await setUp();
  assert.equal(await it.orphans.wrapUp(it.orphan), "left");
  assert.equal((await it.read())?.status, "ringing");
});

Deno.test("a call that was handed over to nobody is found, and ended by whoever claims it", async () => {
  await using it = await setUp();
  await it.release();
  const [found] = (await it.orphans.orphans(100)).filter(({ callId }) =>
    callId === it.orphan.callId
  );
  assert.equal(found?.isReleased, true);
  assert.equal(await it.orphans.wrapUp(it.orphan), "ended");
  assert.equal((await it.read())?.reason, "machine_lost");
});

Deno.test("of a call that has ended no owner's row stays when its machine dies before it has removed it", async () => {
  await using it = await setUp();
  await it.release();
  assert.equal(await it.orphans.wrapUp(it.orphan), "ended"); // by the second machine, which then dies
  assert.notEqual(await it.rows(), null);
  await it.buryTaker();
  assert.equal(await it.isFound(), false);
  assert.equal(await it.rows(), null);
});

Deno.test("of a call in a room the agent comes back to whoever is there still; else it is ended", async () => {
  const carrierCallId = `PA_1:${crypto.randomUUID()}_desk:ada`;
  await using it = await setUp({ carrier: ROOM_CARRIER, carrierCallId });
  await it.bury();
  assert.equal(await it.orphans.recall(it.orphan, never()), "asked");
  assert.deepEqual(it.asked, [`room ${carrierCallId}`]);
  assert.equal((await it.read())?.status, "ringing");
  it.room.isThere = false;
  assert.equal(await it.orphans.recall(it.orphan, never()), "ended");
  assert.equal((await it.read())?.reason, "machine_lost");
});
