/** The chain of a tenant's audit entries: each sealed with a hash over itself and all before it. */

import { createHash } from "node:crypto";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

/** Of one transaction: about so many, since those of one act stay together. */
export const ENTRIES_MAX = 1_000;

/** Where a chain ends: the hash of its last entry, in hex. A chain without entries ends at 0. */
export interface Head {
  readonly seq: number;
  readonly hash: string;
}

/** An entry and its seal, each column as the database prints it: nothing of it is lost in a number. */
export interface SealedText {
  readonly tenantId: string;
  readonly id: string;
  readonly at: string;
  readonly actorKind: string;
  readonly actorId: string;
  readonly action: string;
  readonly subjectId: string;
  /** The jsonb as text. */
  readonly details: string;
  readonly requestId: string | null;
  readonly address: string | null;
  readonly seq: string;
  readonly sealedAt: string;
  /** Of the transaction that wrote it; 0: it was written before that was kept. */
  readonly xid: string;
}

/**
 * SHA-256 over the 32 bytes of the previous hash, then the UTF-8 of a JSON object: the members of
 * `SealedText` in the order of their names (`xid` unless it is 0), no spaces, every value a string or
 * null, escaped as `JSON.stringify` does (RFC 8785). UUIDs are bare and lower case; times are
 * `YYYY-MM-DDTHH:MM:SS.ffffffZ`, and `details` is the text of its jsonb. Before the first entry the hash is
 * 32 zero bytes. `seal_audit` of the database writes it, and this, apart from it, is what verifies it.
 */
export function sealOf(previous: Uint8Array, entry: SealedText): Uint8Array<ArrayBuffer> {
  const { action, actorId, actorKind, address, at, details, id } = entry;
  const { requestId, sealedAt, seq, subjectId, tenantId, xid } = entry;
  const canonical = JSON.stringify({
    ...{ action, actorId, actorKind, address, at, details, id },
    ...{ requestId, sealedAt, seq, subjectId, tenantId },
    ...(xid === "0" ? {} : { xid }),
  });
  return new Uint8Array(createHash("sha256").update(previous).update(canonical, "utf8").digest());
}

export interface SealedBatch {
  readonly entries: number;
  /** The new heads of the chains that grew. */
  readonly heads: ReadonlyMap<string, Head>;
  /** True when there is more to seal than one transaction takes. */
  readonly hasMore: boolean;
  /** True when another machine is at it, and nothing was done. */
  readonly isLeft: boolean;
  /** Tenants whose chains cannot go on, since somebody has tampered with them. */
  readonly stuck: readonly string[];
}

/** Seals what waits in the chains of all tenants, in a transaction that is bound to none. */
export async function sealEntries(sql: Sql, sealedAt: Date): Promise<SealedBatch> {
  const [batch] = await sql<
    {
      entries: number | null;
      heads: Readonly<Record<string, Head>>;
      hasMore: boolean;
      stuck: readonly string[];
    }[]
  >`
    select entries, heads, has_more, to_jsonb(stuck) as stuck
    from seal_audit(${sealedAt}, ${ENTRIES_MAX}::int)`;
  if (batch === undefined) throw new Error("No answer from the sealer");
  const { entries, heads, hasMore, stuck } = batch;
  return {
    entries: entries ?? 0,
    heads: new Map(Object.entries(heads).map(([tenant, head]) => [`tenant_${tenant}`, head])),
    hasMore,
    isLeft: entries === null,
    stuck: stuck.map((tenant) => `tenant_${tenant}`),
  };
}

/** A seal as it stands, and its entry; the entry's members are null where there is none. */
export interface Link extends Partial<SealedText> {
  readonly seq: string;
  readonly entryId: string;
  readonly sealedAt: string;
  readonly hash: Uint8Array;
}

/** The chain in its order, after `after`. */
export async function listLinks(
  sql: Sql,
  tenantId: string,
  page: { readonly after: number; readonly limit: number },
): Promise<Link[]> {
  return await sql<Link[]>`
    select s.seq::text as seq, s.entry_id, s.hash, ${timeText(sql, sql`s.sealed_at`)} as sealed_at,
      ${entryText(sql)}
    from audit_seal s
    left join audit_entry e on e.tenant_id = s.tenant_id and e.id = s.entry_id
    where s.tenant_id = ${uuidOf("tenant", tenantId)} and s.seq > ${page.after}
    order by s.seq
    limit ${page.limit}`;
}

/** What was removed before the chain's first entry: its last hash; null when nothing was. */
export async function getCut(
  sql: Sql,
  tenantId: string,
): Promise<{ readonly seq: number; readonly hash: Uint8Array } | null> {
  const [cut] = await sql<{ seq: number; hash: Uint8Array }[]>`
    select seq::float8 as seq, hash from audit_cut where tenant_id = ${uuidOf("tenant", tenantId)}`;
  return cut ?? null;
}

/** A page of entries by id, after `after`: how many, the last one, and the oldest that has no seal. */
export interface EntryPage {
  readonly count: number;
  readonly last: string | null;
  readonly unsealed: string | null;
}

/** `before`: entries younger than that may still wait for their seal. */
export async function countEntries(
  sql: Sql,
  tenantId: string,
  page: { readonly after: string | null; readonly limit: number; readonly before: Date },
): Promise<EntryPage> {
  const tenant = uuidOf("tenant", tenantId);
  const after = page.after === null ? null : uuidOf("audit", page.after);
  const [found] = await sql<EntryPage[]>`
    select count(*)::int as count, 'audit_' || max(e.id::text) as last,
      'audit_' || min(e.id::text) filter (where s.seq is null and e.at < ${page.before}) as unsealed
    from (
      select tenant_id, id, at from audit_entry
      where tenant_id = ${tenant} and (${after}::uuid is null or id > ${after}::uuid)
      order by id
      limit ${page.limit}
    ) e
    left join audit_seal s on s.tenant_id = e.tenant_id and s.entry_id = e.id`;
  return found ?? { count: 0, last: null, unsealed: null };
}

function entryText(sql: Sql): ReturnType<Sql> {
  return sql`e.tenant_id::text as tenant_id, e.id::text as id, ${timeText(sql, sql`e.at`)} as at,
    e.actor_kind, e.actor_id, e.action, e.subject_id, e.details::text as details, e.request_id,
    e.address, e.xid::text as xid`;
}

/** To the microsecond, which is what is stored; a date would lose three digits of it. */
function timeText(sql: Sql, time: ReturnType<Sql>): ReturnType<Sql> {
  return sql`to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}
