/** Recordings go with what they are of: by erasure, by retention; and one that nobody ended is ended. */

import assert from "node:assert/strict";
import { erasureErrands } from "@/actors/desk/erasures.ts";
import { recordingErrands } from "@/actors/desk/recordings.ts";
import { retain } from "@/actors/jobs/retention.ts";
import { insertCall, updateCallEnded } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import {
  getRecordingOfCall,
  insertRecording,
  type NewRecording,
  updateRecordingEnded,
} from "@/db/recordings.ts";
import { updateTenant } from "@/db/tenants.ts";
import { newId } from "@/lib/ids.ts";
import { memoryStore } from "@/lib/providers/storage/memory.ts";
import { storesOf } from "@/lib/providers/storage/mod.ts";
import { recordingPrefix, SEGMENT_BYTES, segmentKey } from "@/lib/recording/segments.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { answeredEnd, DEADLINE_MS, newCall, newStaffedTenant } from "@/tests/support/rows.ts";
import { tenantOffice } from "@/tests/support/tenant_office.ts";

const { open } = await testDatabase();
const { signal } = new AbortController();

const TODAY = new Date("2026-03-31T12:00:00Z");
const daysAgo = (days: number): Date => new Date(+TODAY - days * 86_400_000);

async function setUp(database: Database) {
  const staffed = await newStaffedTenant(database);
  const { tenantId } = staffed;
  const objects = memoryStore();
  const stores = storesOf(objects);
  const clock = manualClock({ date: TODAY });
  const office = tenantOffice(database, { tenantId, clock, services: { stores } });

  /** A call of so many days ago, with a recording of two segments. */
  async function record(
    { days = 1, isEnded = true, number = "+4915100000001" } = {},
  ): Promise<{ readonly callId: string; readonly prefix: string }> {
    const call = newCall(staffed.agentId, { fromNumber: number, startedAt: daysAgo(days) });
    const id = newId("recording");
    const row: NewRecording = {
      ...{ id, callId: call.id, store: "memory", format: "pcm", consent: "disclose" },
      startedAt: daysAgo(days),
    };
    await database.asTenant("rest", tenantId, DEADLINE_MS, async (sql) => {
      await insertCall(sql, tenantId, call);
      await updateCallEnded(sql, tenantId, call.id, { ...answeredEnd, endedAt: daysAgo(days) });
      await insertRecording(sql, tenantId, row);
      if (!isEnded) return;
      await updateRecordingEnded(sql, tenantId, id, {
        ...{ status: "complete", reason: null, segments: 2, bytes: SEGMENT_BYTES + 1_600 },
        durationMs: 5_100,
        endedAt: daysAgo(days),
      });
    });
    const prefix = recordingPrefix(tenantId, id);
    await objects.put(segmentKey(prefix, 0), new Uint8Array(SEGMENT_BYTES), signal);
    await objects.put(segmentKey(prefix, 1), new Uint8Array(1_600), signal);
    return { callId: call.id, prefix };
  }

  return {
    office,
    record,
    segmentsOf: async (prefix: string) => (await objects.list(prefix, signal)).length,
    recordingOf: (callId: string) =>
      database.asTenant(
        "rest",
        tenantId,
        DEADLINE_MS,
        (sql) => getRecordingOfCall(sql, tenantId, callId),
      ),
    async keep(settings: Record<string, unknown>): Promise<Record<string, number>> {
      await database.asTenant(
        "rest",
        tenantId,
        DEADLINE_MS,
        (sql) => updateTenant(sql, tenantId, { name: "Clinic", settings }, null),
      );
      return await retain(office);
    },
  };
}

Deno.test("a call is erased with the sound of it, and the receipt counts it", async () => {
  await using database = await open();
  const { office, record, segmentsOf, recordingOf } = await setUp(database);
  const [mine, other] = [await record(), await record()];
  const { counts } = await erasureErrands.eraseCall.run(office, mine.callId);
  assert.deepEqual([counts["recordings"], counts["recordingSegments"]], [1, 2]);
  assert.equal(await segmentsOf(mine.prefix), 0);
  assert.equal(await recordingOf(mine.callId), null);
  assert.equal(await segmentsOf(other.prefix), 2, "another call's stays");
});

Deno.test("a contact is erased with the sound of all their calls", async () => {
  await using database = await open();
  const { office, record, segmentsOf } = await setUp(database);
  const phone = "+4915155555555";
  const theirs = [await record({ number: phone }), await record({ number: phone, days: 9 })];
  const other = await record();
  const { counts } = await erasureErrands.eraseContact.run(office, { phone });
  assert.deepEqual([counts["recordings"], counts["recordingSegments"]], [2, 4]);
  for (const { prefix } of theirs) assert.equal(await segmentsOf(prefix), 0);
  assert.equal(await segmentsOf(other.prefix), 2);
});

Deno.test("recordings go when their days are over, and their calls stay", async () => {
  await using database = await open();
  const { record, segmentsOf, recordingOf, keep } = await setUp(database);
  const old = [];
  for (let i = 0; i < 25; i++) old.push(await record({ days: 31 }));
  const young = await record({ days: 29 });
  const counts = await keep({ recordingRetentionDays: 30 });
  assert.deepEqual(counts, { recordings: 25, recordingSegments: 50 });
  for (const { prefix } of old) assert.equal(await segmentsOf(prefix), 0);
  assert.equal(await segmentsOf(young.prefix), 2);
  assert.notEqual(await recordingOf(young.callId), null);
  assert.deepEqual(
    await keep({ recordingRetentionDays: 30 }),
    {},
    "the next run has nothing to do",
  );
});

Deno.test("a call that goes by its days takes its recording along", async () => {
  await using database = await open();
  const { record, segmentsOf, keep } = await setUp(database);
  const { prefix } = await record({ days: 31 });
  const counts = await keep({ callRetentionDays: 30 });
  assert.deepEqual([counts["calls"], counts["recordings"]], [1, 1]);
  assert.equal(await segmentsOf(prefix), 0);
});

Deno.test("a recording whose process went down is ended with what is stored, by whoever asks first", async () => {
  await using database = await open();
  const { office, record } = await setUp(database);
  const { callId } = await record({ isEnded: false });
  const view = await recordingErrands.callRecording.run(office, callId);
  assert.deepEqual([view.status, view.reason, view.segments], ["failed", "crashed", 2]);
  assert.equal(view.durationMs, 5_100);
  assert.equal(view.bytes, 44 + 2 * (SEGMENT_BYTES + 1_600));
  assert.match(view.link?.url ?? "", /^https:\/\/voice\.example\.com\/recordings\//);
});

Deno.test("and if nobody asks, by the night; its end is told once", async () => {
  await using database = await open();
  const { record, recordingOf, keep } = await setUp(database);
  const { callId } = await record({ isEnded: false });
  await keep({});
  await keep({});
  const told = await database.asOwner(
    DEADLINE_MS,
    (sql) =>
      sql<{ payload: Record<string, unknown> }[]>`
    select payload from outbox
    where type = 'recording.ended' and payload ->> 'callId' = ${callId}`,
  );
  assert.deepEqual(told.map(({ payload }) => [payload["callId"], payload["status"]]), [
    [callId, "failed"],
  ]);
  const recording = await recordingOf(callId);
  assert.deepEqual([recording?.status, recording?.reason, recording?.segments], [
    "failed",
    "crashed",
    2,
  ]);
});

Deno.test("one that is still being recorded has no link", async () => {
  await using database = await open();
  const { office, record } = await setUp(database);
  const { callId } = await record({ isEnded: false, days: 0 });
  const view = await recordingErrands.callRecording.run(office, callId);
  assert.deepEqual([view.status, view.link, view.bytes], ["recording", null, 0]);
});
