/** Erasing: what is deleted of calls and of a phone number, and the receipts of it. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import type { IdempotencyKey } from "./idempotency.ts";
import { asJson } from "./json.ts";

/** Rows deleted, by what they were. */
export interface ErasedCounts {
  readonly calls: number;
  readonly events: number;
  readonly outbox: number;
  readonly deliveries: number;
  readonly attempts: number;
  readonly jobs: number;
}

/**
 * These calls, their events, and all that was told of them or is to be done about them. A call that has
 * not ended stays, with its events.
 */
export async function eraseCalls(
  sql: Sql,
  tenantId: string,
  callIds: readonly string[],
): Promise<ErasedCounts> {
  const tenant = uuidOf("tenant", tenantId);
  const uuids = `{${callIds.map((id) => uuidOf("call", id)).join(",")}}`;
  const ids = `{${callIds.join(",")}}`;
  const told: ReturnType<Sql> = sql`
    select id from outbox where tenant_id = ${tenant} and payload ->> 'callId' = any (${ids}::text[])`;
  const outbox = await eraseOutbox(sql, tenantId, told);
  const jobs = await sql`
    delete from job
    where tenant_id = ${tenant}
      and (payload ->> 'callId' = any (${ids}::text[]) or key = any (${ids}::text[]))`;
  const [events] = await sql<{ count: number }[]>`
    select erase_events(${tenant}, ${uuids}::uuid[])::float8 as count`;
  const [calls] = await sql<{ count: number }[]>`
    select erase_calls(${tenant}, ${uuids}::uuid[])::float8 as count`;
  return {
    calls: calls?.count ?? 0,
    events: events?.count ?? 0,
    ...outbox,
    jobs: jobs.count,
  };
}

/** What else holds this number (E.164), with or without its plus: what was told, answered, or is to be done. */
export async function eraseNumber(
  sql: Sql,
  tenantId: string,
  number: string,
): Promise<ErasedCounts> {
  const tenant = uuidOf("tenant", tenantId);
  const pattern = `(^|[^0-9])${number.slice(1)}([^0-9]|$)`;
  const told: ReturnType<Sql> = sql`
    select id from outbox where tenant_id = ${tenant} and payload::text ~ ${pattern}`;
  const outbox = await eraseOutbox(sql, tenantId, told);
  const answers = await sql`
    delete from delivery_attempt
    where tenant_id = ${tenant}
      and (answer ~ ${pattern} or error ~ ${pattern} or request_headers::text ~ ${pattern})`;
  const jobs = await sql`
    delete from job
    where tenant_id = ${tenant}
      and (payload::text ~ ${pattern} or key ~ ${pattern} or last_error ~ ${pattern})`;
  await sql`
    delete from idempotency_key where tenant_id = ${tenant} and key ~ ${pattern}`;
  return {
    calls: 0,
    events: 0,
    ...outbox,
    attempts: outbox.attempts + answers.count,
    jobs: jobs.count,
  };
}

/** The events, and what was delivered of them. */
async function eraseOutbox(
  sql: Sql,
  tenantId: string,
  ids: ReturnType<Sql>,
): Promise<Pick<ErasedCounts, "outbox" | "deliveries" | "attempts">> {
  const tenant = uuidOf("tenant", tenantId);
  const attempts = await sql`
    delete from delivery_attempt
    where tenant_id = ${tenant} and delivery_id in (
      select id from delivery where tenant_id = ${tenant} and event_id in (${ids}))`;
  const deliveries = await sql`
    delete from delivery where tenant_id = ${tenant} and event_id in (${ids})`;
  const outbox = await sql`delete from outbox where tenant_id = ${tenant} and id in (${ids})`;
  return { outbox: outbox.count, deliveries: deliveries.count, attempts: attempts.count };
}

export interface ContactCall {
  readonly id: string;
  readonly status: "ringing" | "live" | "ended";
  readonly endedAt: Date | null;
}

/** Calls from or to a number, in no order. */
export async function listContactCalls(
  sql: Sql,
  tenantId: string,
  number: string,
  limit: number,
): Promise<ContactCall[]> {
  const tenant = uuidOf("tenant", tenantId);
  return await sql<ContactCall[]>`
    select 'call_' || id as id, status, ended_at from (
      select id, status, ended_at from call where tenant_id = ${tenant} and from_number = ${number}
      union
      select id, status, ended_at from call where tenant_id = ${tenant} and to_number = ${number}
    ) c
    order by (status = 'ended'), ended_at desc
    limit ${limit}`;
}

/** Ids of calls that ended before then, the oldest first. */
export async function listCallsEndedBefore(
  sql: Sql,
  tenantId: string,
  before: Date,
  limit: number,
): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select 'call_' || id as id from call
    where tenant_id = ${uuidOf("tenant", tenantId)} and started_at < ${before}
      and status = 'ended' and ended_at < ${before}
    order by started_at, id
    limit ${limit}`;
  return rows.map(({ id }) => id);
}

/** Of the oldest entries, at most `limit`, those from before then; what is cut leaves a mark. Returns how many. */
export async function cutAudit(
  sql: Sql,
  tenantId: string,
  before: Date,
  limit: number,
): Promise<number> {
  const [cut] = await sql<{ count: number }[]>`
    select cut_audit(${uuidOf("tenant", tenantId)}, ${before}, ${limit}::int)::float8 as count`;
  return cut?.count ?? 0;
}

/** An answer that is kept under an `Idempotency-Key`. */
export interface KeptAnswer extends IdempotencyKey {
  readonly answerSealed: Uint8Array;
}

/** After `after`, in the order of their keys. */
export async function listKeptAnswers(
  sql: Sql,
  tenantId: string,
  page: { readonly after: IdempotencyKey | null; readonly limit: number },
): Promise<KeptAnswer[]> {
  const { after } = page;
  return await sql<KeptAnswer[]>`
    select principal, errand, key, answer_sealed from idempotency_key
    where tenant_id = ${uuidOf("tenant", tenantId)} and answer_sealed is not null
      ${
    after === null
      ? sql``
      : sql`and (principal, errand, key) > (${after.principal}, ${after.errand}, ${after.key})`
  }
    order by principal, errand, key
    limit ${page.limit}`;
}

/** The thing stays done, and its answer is lost: whoever asks again is told so. */
export async function dropAnswer(
  sql: Sql,
  tenantId: string,
  { principal, errand, key }: IdempotencyKey,
): Promise<void> {
  await sql`
    update idempotency_key set stage = 'acted', answer_sealed = null
    where tenant_id = ${uuidOf("tenant", tenantId)} and principal = ${principal}
      and errand = ${errand} and key = ${key} and answer_sealed is not null`;
}

export interface ErasureReceipt {
  readonly id: string;
  readonly kind: "call" | "contact";
  /** HMAC of the erased id or number: whoever knows it can find its receipt, nobody can read it. */
  readonly subjectHash: Uint8Array;
  /** By what was erased. */
  readonly counts: Readonly<Record<string, number>>;
  /** A prefixed id, or an operator's name. */
  readonly erasedBy: string;
  readonly at: Date;
}

export async function insertReceipt(
  sql: Sql,
  tenantId: string,
  receipt: ErasureReceipt,
): Promise<void> {
  await sql`
    insert into erasure_receipt (tenant_id, id, kind, subject_hash, counts, erased_by, at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("receipt", receipt.id)}, ${receipt.kind},
      ${receipt.subjectHash}, ${asJson(sql, receipt.counts)}, ${receipt.erasedBy}, ${receipt.at})`;
}

/** Newest first. `before` is the id of the last one already seen. */
export async function listReceipts(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string | undefined },
): Promise<ErasureReceipt[]> {
  const before = page.before === undefined ? null : uuidOf("receipt", page.before);
  return await sql<ErasureReceipt[]>`
    select 'receipt_' || id as id, kind, subject_hash, counts, erased_by, at from erasure_receipt
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${page.before === undefined ? sql`` : sql`and id < ${before}`}
    order by erasure_receipt.id desc
    limit ${page.limit}`;
}
