/** The chain of a tenant's audit entries: each sealed with a hash over itself and all before it. */

import { createHash } from "node:crypto";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

/** Of one tenant in one transaction, so that the others of its batch do not wait for a long backlog. */
export const ENTRIES_MAX = 500;
/** The first of two keys of advisory locks: any number that nothing else in the database uses. */
const LOCK = 7_446_002;

/** Before the first entry. */
const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(32);

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
}

/**
 * SHA-256 over the 32 bytes of the previous hash, then the UTF-8 of a JSON object: the members of
 * `SealedText` in the order of their names, no spaces, every value a string or null, escaped as
 * `JSON.stringify` does (RFC 8785). UUIDs are bare and lower case; times are `YYYY-MM-DDTHH:MM:SS.ffffffZ`,
 * and `details` is the text of its jsonb. Before the first entry the hash is 32 zero bytes.
 */
export function sealOf(previous: Uint8Array, entry: SealedText): Uint8Array<ArrayBuffer> {
  const { action, actorId, actorKind, address, at, details, id } = entry;
  const { requestId, sealedAt, seq, subjectId, tenantId } = entry;
  const canonical = JSON.stringify({
    ...{ action, actorId, actorKind, address, at, details, id },
    ...{ requestId, sealedAt, seq, subjectId, tenantId },
  });
  return new Uint8Array(createHash("sha256").update(previous).update(canonical, "utf8").digest());
}

export interface SealedBatch {
  readonly entries: number;
  /** The new heads of the chains that grew. */
  readonly heads: ReadonlyMap<string, Head>;
  /** True when a chain has more to seal than one transaction takes. */
  readonly hasMore: boolean;
}

/**
 * Seals what waits in the chains of these tenants, which the transaction must be bound to. A chain that
 * another transaction is at is left to it.
 */
export async function sealEntries(
  sql: Sql,
  tenantIds: readonly string[],
  sealedAt: Date,
): Promise<SealedBatch> {
  const wanted = asArray(tenantIds.map((id) => uuidOf("tenant", id)));
  const locked = await sql<{ id: string }[]>`
    select id from unnest(${wanted}::uuid[]) as wanted (id)
    where pg_try_advisory_xact_lock(${LOCK}::int, hashtext(id::text))`;
  if (locked.length === 0) return { entries: 0, heads: new Map(), hasMore: false };
  const tenants = asArray(locked.map(({ id }) => id));
  // In statements of their own: they must see what was committed before the locks were got.
  const chains = await sql<{ id: string; seq: number; hash: Uint8Array }[]>`
    select t.id, coalesce(s.seq, c.seq, 0)::float8 as seq, coalesce(s.hash, c.hash, ${NOTHING}) as hash
    from unnest(${tenants}::uuid[]) as t (id)
    left join audit_cut c on c.tenant_id = t.id
    left join lateral (
      select seq, hash from audit_seal where tenant_id = t.id order by seq desc limit 1
    ) s on true`;
  const waiting = await sql<SealedText[]>`
    select e.*
    from unnest(${tenants}::uuid[]) as t (id)
    cross join lateral (
      select ${entryText(sql)}, ${
    timeText(sql, sql`${sealedAt}::timestamptz`)
  } as sealed_at, '' as seq
      from (
        select tenant_id, entry_id from audit_unsealed
        where tenant_id = t.id order by entry_id limit ${ENTRIES_MAX}
      ) u
      cross join lateral (
        -- One by its key: in a join, all of the tenant's would be read for each.
        select tenant_id, id, at, actor_kind, actor_id, action, subject_id, details, request_id, address
        from audit_entry
        where tenant_id = u.tenant_id and id = u.entry_id
        limit 1
      ) e
      order by u.entry_id
    ) e`;
  const sealed = chain(chains, waiting);
  await insertSeals(sql, sealed, sealedAt);
  return {
    entries: sealed.length,
    heads: new Map(sealed.map(({ tenantId, seq, hash }) => [`tenant_${tenantId}`, { seq, hash }])),
    hasMore: Object.values(Object.groupBy(sealed, ({ tenantId }) => tenantId))
      .some((entries) => entries?.length === ENTRIES_MAX),
  };
}

interface NewSeal extends Head {
  readonly tenantId: string;
  readonly entryId: string;
}

/** Each entry on top of the one before it in its tenant's chain. */
function chain(
  chains: readonly { readonly id: string; readonly seq: number; readonly hash: Uint8Array }[],
  entries: readonly SealedText[],
): NewSeal[] {
  const heads = new Map(chains.map(({ id, seq, hash }) => [id, { seq, hash }]));
  return entries.map((entry) => {
    const before = heads.get(entry.tenantId);
    if (before === undefined) throw new Error(`No chain of tenant "${entry.tenantId}"`);
    const seq = before.seq + 1;
    const hash = sealOf(before.hash, { ...entry, seq: `${seq}` });
    heads.set(entry.tenantId, { seq, hash });
    return { tenantId: entry.tenantId, entryId: entry.id, seq, hash: hash.toHex() };
  });
}

async function insertSeals(sql: Sql, seals: readonly NewSeal[], sealedAt: Date): Promise<void> {
  if (seals.length === 0) return;
  const rows = seals.map(({ tenantId, entryId, seq, hash }) => ({
    tenant_id: tenantId,
    entry_id: entryId,
    seq,
    hash,
  }));
  await sql`
    insert into audit_seal (tenant_id, seq, entry_id, hash, sealed_at)
    select tenant_id, seq, entry_id, decode(hash, 'hex'), ${sealedAt}
    from jsonb_to_recordset(${asJson(sql, rows)})
      as row (tenant_id uuid, seq bigint, entry_id uuid, hash text)`;
  const tenants = asArray([...new Set(seals.map(({ tenantId }) => tenantId))]);
  const entries = asArray(seals.map(({ entryId }) => entryId));
  await sql`
    delete from audit_unsealed
    where tenant_id = any (${tenants}::uuid[]) and entry_id = any (${entries}::uuid[])`;
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
    e.address`;
}

/** To the microsecond, which is what is stored; a date would lose three digits of it. */
function timeText(sql: Sql, time: ReturnType<Sql>): ReturnType<Sql> {
  return sql`to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

/** As the database reads it: arrays go as text. */
function asArray(uuids: readonly (string | null)[]): string {
  return `{${uuids.join(",")}}`;
}
