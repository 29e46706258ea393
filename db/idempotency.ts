/** What was asked under an `Idempotency-Key`: how far it came, and how it was answered. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

/** One that has not ended by then went with its process. Its errand has deadlines that are shorter. */
const LEASE_S = 60;
/** How long an answer can be had again. */
export const KEPT_HOURS = 24;
/** Old rows that one new one takes along, so that they need no other broom. */
const SWEPT_MAX = 10;

/** Whose key for what. */
export interface IdempotencyKey {
  /** A prefixed id, or an operator's name. */
  readonly principal: string;
  readonly errand: string;
  readonly key: string;
}

/**
 * `begun`: nothing is done. `asked`: an actor was told to do it, and may have. `acted`: it is
 * committed. `answered`: and the answer is kept.
 */
export type IdempotencyStage = "begun" | "asked" | "acted" | "answered";

export interface IdempotencyRow {
  readonly requestHash: Uint8Array;
  readonly stage: IdempotencyStage;
  /** Null but when answered. */
  readonly answerSealed: Uint8Array | null;
  /** Whether somebody may be at it still. */
  readonly isLeased: boolean;
}

/**
 * Takes the key under this lease, a UUID: true when nobody has asked under it, when whoever began has
 * gone before anything was done, and when it is older than `KEPT_HOURS`.
 */
export async function insertIdempotencyKey(
  sql: Sql,
  tenantId: string,
  { principal, errand, key }: IdempotencyKey,
  { requestHash, lease }: { readonly requestHash: Uint8Array; readonly lease: string },
): Promise<boolean> {
  const rows = await sql`
    insert into idempotency_key as standing
      (tenant_id, principal, errand, key, request_hash, lease, lease_until)
    values (${
    uuidOf("tenant", tenantId)
  }, ${principal}, ${errand}, ${key}, ${requestHash}, ${lease},
      now() + make_interval(secs => ${LEASE_S}))
    on conflict (tenant_id, principal, errand, key) do update
      set request_hash = excluded.request_hash, lease = excluded.lease,
        lease_until = excluded.lease_until, stage = 'begun', answer_sealed = null,
        created_at = excluded.created_at
      where standing.created_at < now() - make_interval(hours => ${KEPT_HOURS})
        or (standing.stage = 'begun' and standing.lease_until < now()
          and standing.request_hash = excluded.request_hash)`;
  return rows.count === 1;
}

export async function getIdempotencyKey(
  sql: Sql,
  tenantId: string,
  { principal, errand, key }: IdempotencyKey,
): Promise<IdempotencyRow | null> {
  const [row] = await sql<IdempotencyRow[]>`
    select request_hash, stage, answer_sealed, lease_until >= now() as is_leased
    from idempotency_key
    where tenant_id = ${uuidOf("tenant", tenantId)} and principal = ${principal}
      and errand = ${errand} and key = ${key}`;
  return row ?? null;
}

/** What is committed stays so. False when the lease is another's by now: what this one did must not be. */
export async function updateIdempotencyKey(
  sql: Sql,
  tenantId: string,
  { principal, errand, key }: IdempotencyKey,
  { lease, stage, answerSealed = null }: {
    readonly lease: string;
    readonly stage: IdempotencyStage;
    readonly answerSealed?: Uint8Array | null;
  },
): Promise<boolean> {
  const rows = await sql`
    update idempotency_key set answer_sealed = ${answerSealed},
      stage = case when stage = 'acted' and ${stage} = 'asked' then stage else ${stage} end
    where tenant_id = ${uuidOf("tenant", tenantId)} and principal = ${principal}
      and errand = ${errand} and key = ${key} and lease = ${lease}`;
  return rows.count === 1;
}

/** Gives the key back where it came no further than these stages. */
export async function deleteIdempotencyKey(
  sql: Sql,
  tenantId: string,
  { principal, errand, key }: IdempotencyKey,
  { lease, stages }: { readonly lease: string; readonly stages: readonly IdempotencyStage[] },
): Promise<void> {
  await sql`
    delete from idempotency_key
    where tenant_id = ${uuidOf("tenant", tenantId)} and principal = ${principal}
      and errand = ${errand} and key = ${key} and lease = ${lease}
      and stage in ${sql(stages)}`;
}

/** Drops some of the tenant's rows that are past `KEPT_HOURS`, the oldest first. */
export async function deleteOldIdempotencyKeys(sql: Sql, tenantId: string): Promise<number> {
  const rows = await sql`
    delete from idempotency_key
    where tenant_id = ${uuidOf("tenant", tenantId)} and (principal, errand, key) in (
      select principal, errand, key from idempotency_key
      where tenant_id = ${uuidOf("tenant", tenantId)}
        and created_at < now() - make_interval(hours => ${KEPT_HOURS})
      order by created_at limit ${SWEPT_MAX}
      for update skip locked)`;
  return rows.count;
}
