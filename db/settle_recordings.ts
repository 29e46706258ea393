/** Settles a recording whose process has gone: what is stored of it is counted, and it is over. */

import { listRecordingsLeft, type RecordingEnd, type StoredRecording } from "./recordings.ts";
import { storeRecordingEnded } from "./call_news.ts";
import type { Sql } from "./client.ts";
import type { Stores } from "@/lib/providers/storage/mod.ts";
import { recordingPrefix, STORED_BYTES_PER_MS } from "@/lib/recording/segments.ts";

export interface SettleDeps {
  readonly tenantId: string;
  readonly stores: Stores;
  read<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}

/** A call that has ended so long ago has no recording that is still being stored. */
export const LEFT_MS = 5 * 60_000;
const LEFT_MAX = 100;

export async function settleRecording(
  { tenantId, stores, read }: SettleDeps,
  { id, store }: StoredRecording,
  at: Date,
  signal: AbortSignal,
): Promise<void> {
  const objects = await stores.of(store).list(recordingPrefix(tenantId, id), signal);
  const bytes = objects.reduce((sum, object) => sum + object.bytes, 0);
  const end: RecordingEnd = {
    status: "failed",
    reason: "crashed",
    segments: objects.length,
    bytes,
    durationMs: Math.round(bytes / STORED_BYTES_PER_MS),
    endedAt: at,
  };
  await read((sql) => storeRecordingEnded(sql, tenantId, id, end));
}

/** Those of a tenant that nobody will end. Returns how many. */
export async function settleLeft(
  deps: SettleDeps,
  now: Date,
  signal: AbortSignal,
): Promise<number> {
  const { tenantId, read } = deps;
  const before = new Date(+now - LEFT_MS);
  const left = await read((sql) => listRecordingsLeft(sql, tenantId, before, LEFT_MAX));
  for (const it of left) await settleRecording(deps, it, now, signal);
  return left.length;
}
