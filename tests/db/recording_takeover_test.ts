/** A recording whose machine is lost or left is gone on with by the next: one row, one file, one end. */

import assert from "node:assert/strict";
import type { TapePiece } from "@/actors/call/tape.ts";
import { newRecordings, type Running } from "@/actors/recording/recordings.ts";
import type { Database } from "@/db/client.ts";
import { claimActor, type Fence, insertNode, takeCall } from "@/db/cluster.ts";
import { getRecordingOfCall } from "@/db/recordings.ts";
import { silentLog } from "@/lib/log.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import { recordingPrefix, SAMPLE_BYTES } from "@/lib/recording/segments.ts";
import { actorKit } from "@/tests/support/actor_kit.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { DEADLINE_MS, insertedCall, newStaffedTenant } from "@/tests/support/rows.ts";
import { virtualDatabase } from "@/tests/support/virtual_database.ts";

const { open } = await testDatabase();
const SECOND = 8_000;
const { signal } = new AbortController();
const NODE = { address: "10.0.0.1:8000", region: "iad", version: "1", weight: 300 };

/** Two machines on one clock, one database and one store; the first has the call. */
async function setUp(real: Database) {
  const clock = manualClock();
  const { database, advance } = virtualDatabase(real, clock);
  const staffed = await newStaffedTenant(real);
  const { tenantId } = staffed;
  const { id: callId } = await insertedCall(real, staffed);
  const objects = memoryStore();
  const kits = [actorKit({ clock }), actorKit({ clock })];
  const inHouse = <T>(work: Parameters<typeof real.lookup<T>>[2]): Promise<T> =>
    real.lookup("rest", DEADLINE_MS, work);
  const boot = async (nodeId: string) => ({
    nodeId,
    incarnation: await inHouse((sql) => insertNode(sql, { nodeId, ...NODE })),
  });
  const [mine, other] = [await boot("a"), await boot("b")];
  const owned = await inHouse((sql) => claimActor(sql, { kind: "call", id: callId }, mine));
  const fences: (Fence | null)[] = [owned && { ...owned, ...mine }, null];
  const machines = kits.map(({ system }, nth) =>
    newRecordings({
      ...{ system, database, stores: storesOf(objects), clock, log: silentLog },
      fenceOf: () => fences[nth] ?? null,
    })
  );
  const of = { tenantId, callId, consent: "none", format: "pcm" } as const;
  return {
    advance,
    async take() {
      const taken = owned && await inHouse((sql) => takeCall(sql, owned, other));
      fences[1] = taken && { ...taken, ...other };
    },
    machine(nth: number) {
      const machine = machines[nth] ?? assert.fail();
      return { ...machine, begin: (): Running => machine.open(of, { send: () => true }) };
    },
    /** Seconds of sound, as a tape gives them that began with the machine. */
    async record({ ref, originMs }: Running, seconds: number, byte: number): Promise<void> {
      for (let s = 0; s < seconds; s++) {
        await advance(1_000);
        const at = Math.round((clock.now() - 1_000 - originMs) * SECOND / 1_000);
        const audio = new Uint8Array(SECOND * SAMPLE_BYTES).fill(byte);
        const piece: TapePiece = { at, audio };
        ref.send({ type: "piece", piece });
      }
      await advance(100);
    },
    row: () =>
      real.asTenant(
        "rest",
        tenantId,
        DEADLINE_MS,
        (sql) => getRecordingOfCall(sql, tenantId, callId),
      ),
    /** What a second of it begins with, one after the other. */
    async seconds(): Promise<number[]> {
      const row = await this.row();
      const found: number[] = [];
      for (const { key } of await objects.list(recordingPrefix(tenantId, row?.id ?? ""), signal)) {
        const audio = await objects.get(key, signal) ?? new Uint8Array();
        for (let at = 0; at < audio.length; at += SECOND * SAMPLE_BYTES) found.push(audio[at] ?? 0);
      }
      return found;
    },
    news: () =>
      real.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
        const rows = await sql<{ type: string }[]>`select type from outbox order by id limit 10`;
        return rows.map(({ type }) => type);
      }),
    async close() {
      for (const { system } of kits) await system.shutdown();
    },
    callId,
  };
}

const S = 0xff; // silence

Deno.test("of a machine that is killed the whole segments stay, and the next goes on behind them", async () => {
  await using database = await open();
  const it = await setUp(database);
  const first = it.machine(0).begin();
  await it.record(first, 7, 1); // two seconds of it are not stored
  await it.advance(1_000);
  await it.take();
  const second = it.machine(1).begin();
  await it.record(second, 3, 2);
  it.machine(1).callEnded(it.callId);
  await it.advance(500);
  const row = await it.row();
  assert.deepEqual([row?.status, row?.reason, row?.segments, row?.durationMs], [
    ...["complete", null, 3, 11_100],
  ]);
  assert.deepEqual(await it.seconds(), [1, 1, 1, 1, 1, S, S, S, S, 2, 2, 2]);
  assert.deepEqual(await it.news(), ["recording.ended"]);
  it.machine(0).callLost(it.callId); // it stood still, and comes to
  await it.advance(500);
  assert.equal(it.machine(0).running(it.callId), null);
  assert.deepEqual(await it.seconds(), [1, 1, 1, 1, 1, S, S, S, S, 2, 2, 2]);
  assert.deepEqual([(await it.row())?.segments, await it.news()], [3, ["recording.ended"]]);
  await it.close();
});

Deno.test("of a machine that is left nothing is lost, and nobody is told of an end before there is one", async () => {
  await using database = await open();
  const it = await setUp(database);
  const first = it.machine(0).begin();
  await it.record(first, 7, 1);
  const left = it.machine(0).left(it.callId);
  await it.advance(200);
  await left;
  assert.equal(it.machine(0).running(it.callId), null);
  assert.deepEqual([(await it.row())?.status, await it.news()], ["recording", []]);
  await it.take();
  await it.advance(700);
  const second = it.machine(1).begin();
  await it.record(second, 4, 2);
  it.machine(1).callEnded(it.callId);
  await it.advance(500);
  assert.deepEqual(await it.seconds(), [1, 1, 1, 1, 1, 1, 1, S, 2, 2, 2, 2]);
  assert.deepEqual([(await it.row())?.status, await it.news()], ["complete", ["recording.ended"]]);
  await it.close();
});
