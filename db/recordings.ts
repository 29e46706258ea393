/** Recordings of calls: one a call at most. Their sound is in a store of objects. */

import { uuidOf } from "@/lib/ids.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import type { Consent } from "@/lib/recording/consent.ts";
import type { RecordingFormat } from "@/lib/recording/segments.ts";
import type { Sql } from "./client.ts";

export interface NewRecording {
  readonly id: string;
  readonly callId: string;
  /** Which store its segments are in. */
  readonly store: ObjectStore["provider"];
  readonly format: RecordingFormat;
  /** What stood before its first byte. */
  readonly consent: Consent;
  readonly startedAt: Date;
}

export interface RecordingEnd {
  readonly status: "complete" | "failed";
  /** Why it failed; null: it did not. */
  readonly reason: string | null;
  readonly segments: number;
  /** As stored. */
  readonly bytes: number;
  readonly durationMs: number;
  readonly endedAt: Date;
}

export interface Recording extends NewRecording, Omit<RecordingEnd, "status" | "endedAt"> {
  readonly status: "recording" | RecordingEnd["status"];
  readonly endedAt: Date | null;
}

/** One of the same call that is there already stays. */
export async function insertRecording(
  sql: Sql,
  tenantId: string,
  row: NewRecording,
): Promise<void> {
  await sql`
    insert into recording (tenant_id, id, call_id, status, store, format, consent, started_at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("recording", row.id)},
      ${uuidOf("call", row.callId)}, 'recording', ${row.store}, ${row.format}, ${row.consent},
      ${row.startedAt})
    on conflict do nothing`;
}

/** Null: there is no such recording any more. What has ended stays as it did, and is no news. */
export async function updateRecordingEnded(
  sql: Sql,
  tenantId: string,
  id: string,
  end: RecordingEnd,
): Promise<{ readonly callId: string; readonly isNews: boolean } | null> {
  const tenant = uuidOf("tenant", tenantId);
  const recording = uuidOf("recording", id);
  const [row] = await sql<{ callId: string; isNews: boolean }[]>`
    with before as (
      select ended_at from recording where tenant_id = ${tenant} and id = ${recording} for update
    )
    update recording set
      status = case when before.ended_at is null then ${end.status} else status end,
      reason = case when before.ended_at is null then ${end.reason} else reason end,
      segments = greatest(segments, ${end.segments}),
      bytes = greatest(bytes, ${end.bytes}),
      duration_ms = greatest(duration_ms, ${end.durationMs}),
      ended_at = coalesce(recording.ended_at, ${end.endedAt})
    from before
    where tenant_id = ${tenant} and id = ${recording}
    returning 'call_' || call_id as call_id, before.ended_at is null as is_news`;
  return row ?? null;
}

export async function getRecording(
  sql: Sql,
  tenantId: string,
  id: string,
): Promise<Recording | null> {
  const [row] = await sql<Recording[]>`
    select ${columns(sql)} from recording
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("recording", id)}`;
  return row ?? null;
}

export async function getRecordingOfCall(
  sql: Sql,
  tenantId: string,
  callId: string,
): Promise<Recording | null> {
  const [row] = await sql<Recording[]>`
    select ${columns(sql)} from recording
    where tenant_id = ${uuidOf("tenant", tenantId)} and call_id = ${uuidOf("call", callId)}`;
  return row ?? null;
}

/** Where the sound of a recording is. */
export type StoredRecording = Pick<Recording, "id" | "store">;

export async function listRecordingsOf(
  sql: Sql,
  tenantId: string,
  callIds: readonly string[],
): Promise<StoredRecording[]> {
  const uuids = `{${callIds.map((id) => uuidOf("call", id)).join(",")}}`;
  return await sql<StoredRecording[]>`
    select 'recording_' || id as id, store from recording
    where tenant_id = ${uuidOf("tenant", tenantId)} and call_id = any (${uuids}::uuid[])
    limit ${callIds.length}`;
}

/** The oldest first. */
export async function listRecordingsEndedBefore(
  sql: Sql,
  tenantId: string,
  before: Date,
  limit: number,
): Promise<StoredRecording[]> {
  return await sql<StoredRecording[]>`
    select 'recording_' || id as id, store from recording
    where tenant_id = ${uuidOf("tenant", tenantId)} and ended_at < ${before}
    order by ended_at, id
    limit ${limit}`;
}

/** Those whose process has gone: calls that ended before then, and recordings that have not. */
export async function listRecordingsLeft(
  sql: Sql,
  tenantId: string,
  before: Date,
  limit: number,
): Promise<StoredRecording[]> {
  return await sql<StoredRecording[]>`
    select 'recording_' || r.id as id, r.store from recording r
    join call c on c.tenant_id = r.tenant_id and c.id = r.call_id
    where r.tenant_id = ${uuidOf("tenant", tenantId)} and r.ended_at is null
      and c.ended_at < ${before}
    order by r.id
    limit ${limit}`;
}

/** By id, from after `after`. */
export async function listRecordings(
  sql: Sql,
  tenantId: string,
  { after, limit }: { readonly after: string | null; readonly limit: number },
): Promise<Recording[]> {
  const from = after === null ? sql`` : sql`and recording.id > ${uuidOf("recording", after)}`;
  return await sql<Recording[]>`
    select ${columns(sql)} from recording
    where tenant_id = ${uuidOf("tenant", tenantId)} ${from}
    order by recording.id
    limit ${limit}`;
}

export async function deleteRecordings(
  sql: Sql,
  tenantId: string,
  ids: readonly string[],
): Promise<number> {
  const uuids = `{${ids.map((id) => uuidOf("recording", id)).join(",")}}`;
  const deleted = await sql`
    delete from recording
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = any (${uuids}::uuid[])`;
  return deleted.count;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'recording_' || recording.id as id, 'call_' || recording.call_id as call_id,
    recording.status, recording.reason, recording.store, recording.format, recording.consent,
    recording.segments, recording.bytes::float8 as bytes,
    recording.duration_ms::float8 as duration_ms, recording.started_at, recording.ended_at`;
}
