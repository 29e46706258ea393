/** What erases: one list, to which a feature that stores something of a call or a contact adds its own. */

import {
  dropAnswer,
  eraseCalls,
  eraseNumber,
  type KeptAnswer,
  listKeptAnswers,
} from "./erasure.ts";
import { eraseEgresses } from "./livekit.ts";
import { deleteRecordings, listRecordingsOf, type StoredRecording } from "./recordings.ts";
import type { Stores } from "@/lib/providers/storage/mod.ts";
import { recordingPrefix } from "@/lib/recording/segments.ts";
import type { IdempotencyKey } from "./idempotency.ts";
import type { Sql } from "./client.ts";
import type { Vault } from "./vault.ts";

const ANSWERS_MAX = 100;

/** What is to be erased: these calls, and all else that holds the number, where there is one (E.164). */
export interface Subject {
  readonly callIds: readonly string[];
  readonly number: string | null;
}

/** What erasing takes of an office, or of a job. */
export interface EraserDeps {
  readonly tenantId: string;
  readonly vault: Vault;
  readonly stores: Stores;
  readonly signal: AbortSignal;
  /** One transaction of the tenant. */
  read<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}

/** Erases what it knows of the subject and says how much, by what it was. May be run again. */
export type Eraser = (deps: EraserDeps, subject: Subject) => Promise<Record<string, number>>;

/** In this order. Recordings, vectors and caches of later features come before the rows that name them. */
export const erasers: readonly Eraser[] = [eraseRecordings, eraseAnswers, eraseRows];

export async function erase(deps: EraserDeps, subject: Subject): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const eraser of erasers) addCounts(counts, await eraser(deps, subject));
  return counts;
}

export function addCounts(
  sum: Record<string, number>,
  more: Readonly<Record<string, number>>,
): void {
  for (const [what, count] of Object.entries(more)) sum[what] = (sum[what] ?? 0) + count;
}

async function eraseRecordings(
  deps: EraserDeps,
  { callIds }: Subject,
): Promise<Record<string, number>> {
  if (callIds.length === 0) return {};
  const { tenantId, read } = deps;
  return await eraseSound(deps, await read((sql) => listRecordingsOf(sql, tenantId, callIds)));
}

/** The sound first, then the rows that know where it is: what is broken off is found again. */
export async function eraseSound(
  { tenantId, stores, signal, read }: Omit<EraserDeps, "vault">,
  found: readonly StoredRecording[],
): Promise<Record<string, number>> {
  if (found.length === 0) return {};
  let segments = 0;
  for (const { id, store } of found) {
    const prefix = recordingPrefix(tenantId, id);
    segments += await stores.of(store).delete(prefix, signal);
  }
  const ids = found.map(({ id }) => id);
  const recordings = await read((sql) => deleteRecordings(sql, tenantId, ids));
  return { recordings, recordingSegments: segments };
}

async function eraseRows(
  { tenantId, read }: EraserDeps,
  { callIds, number }: Subject,
): Promise<Record<string, number>> {
  return await read(async (sql) => {
    const counts: Record<string, number> = { ...await eraseCalls(sql, tenantId, callIds) };
    if (number === null) return counts;
    addCounts(counts, { ...await eraseNumber(sql, tenantId, number) });
    addCounts(counts, { egresses: await eraseEgresses(sql, tenantId, number) });
    return counts;
  });
}

/** Answers are sealed: each must be opened to know whom it is about. One that cannot be opened goes too. */
async function eraseAnswers(deps: EraserDeps, subject: Subject): Promise<Record<string, number>> {
  const { tenantId, read } = deps;
  let answers = 0;
  let after: IdempotencyKey | null = null;
  while (true) {
    const page = { after, limit: ANSWERS_MAX };
    const kept: KeptAnswer[] = await read((sql) => listKeptAnswers(sql, tenantId, page));
    for (const answer of kept) {
      if (!await isAbout(deps, answer, subject)) continue;
      await read((sql) => dropAnswer(sql, tenantId, answer));
      answers++;
    }
    const last = kept.at(-1);
    if (last === undefined || kept.length < ANSWERS_MAX) return { answers };
    after = last;
  }
}

async function isAbout(
  { tenantId, vault }: EraserDeps,
  { principal, errand, key, answerSealed }: KeptAnswer,
  { callIds, number }: Subject,
): Promise<boolean> {
  const row = JSON.stringify({ principal, errand, key });
  const place = { tenantId, table: "idempotency_key", column: "answer_sealed", row };
  const text = await vault.open(place, answerSealed).catch(() => null);
  if (text === null) return true;
  if (number !== null && text.includes(number.slice(1))) return true;
  return text.includes("call_") && callIds.some((id) => text.includes(id));
}
