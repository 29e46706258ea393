/** API keys: what machines log in with. The key itself is not here, only its hash. */

import type { Scope } from "@/lib/access.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  /** The part that is shown. */
  readonly publicId: string;
  readonly scopes: readonly Scope[];
  /** A prefixed id. */
  readonly createdBy: string;
  readonly createdAt: Date;
  /** Null: never. */
  readonly expiresAt: Date | null;
  /** To the minute. */
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

export interface NewApiKey {
  readonly id: string;
  readonly name: string;
  readonly publicId: string;
  /** `keyHash` of the whole key. */
  readonly hash: Uint8Array;
  readonly scopes: readonly Scope[];
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
}

/** False when there is one with this id or public id. */
export async function insertApiKey(sql: Sql, tenantId: string, key: NewApiKey): Promise<boolean> {
  const rows = await sql`
    insert into api_key (tenant_id, id, name, public_id, hash, scopes, created_by, created_at,
      expires_at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("key", key.id)}, ${key.name}, ${key.publicId},
      ${key.hash}, ${`{${key.scopes.join(",")}}`}::text[], ${key.createdBy}, ${key.createdAt},
      ${key.expiresAt})
    on conflict do nothing`;
  return rows.count === 1;
}

export async function getApiKey(sql: Sql, tenantId: string, keyId: string): Promise<ApiKey | null> {
  const [key] = await sql<ApiKey[]>`
    select ${columns(sql)} from api_key
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("key", keyId)}`;
  return key ?? null;
}

/** Newest first, revoked ones too. `before` is the id of the last one already seen. */
export async function listApiKeys(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string },
): Promise<ApiKey[]> {
  return await sql<ApiKey[]>`
    select ${columns(sql)} from api_key
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${page.before ? sql`and id < ${uuidOf("key", page.before)}` : sql``}
    order by api_key.id desc
    limit ${page.limit}`;
}

/** Those that are neither revoked nor expired. */
export async function countApiKeys(sql: Sql, tenantId: string, at: Date): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from api_key
    where tenant_id = ${uuidOf("tenant", tenantId)} and revoked_at is null
      and (expires_at is null or expires_at > ${at})`;
  return row?.count ?? 0;
}

export async function updateApiKeyName(
  sql: Sql,
  tenantId: string,
  keyId: string,
  name: string,
): Promise<boolean> {
  const rows = await sql`
    update api_key set name = ${name}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("key", keyId)}`;
  return rows.count === 1;
}

/** Ends it at `until` at the latest; false when it is revoked, or has ended before `at`. */
export async function updateApiKeyExpiry(
  sql: Sql,
  tenantId: string,
  keyId: string,
  { at, until }: { readonly at: Date; readonly until: Date },
): Promise<boolean> {
  const rows = await sql`
    update api_key set expires_at = least(expires_at, ${until}::timestamptz)
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("key", keyId)}
      and revoked_at is null and (expires_at is null or expires_at > ${at})`;
  return rows.count === 1;
}

/** False when it was revoked before. */
export async function updateApiKeyRevoked(
  sql: Sql,
  tenantId: string,
  keyId: string,
  at: Date,
): Promise<boolean> {
  const rows = await sql`
    update api_key set revoked_at = ${at}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("key", keyId)}
      and revoked_at is null`;
  return rows.count === 1;
}

/** At most once a minute, whoever tells it. */
export async function updateApiKeyUsed(
  sql: Sql,
  tenantId: string,
  keyId: string,
  at: Date,
): Promise<void> {
  await sql`
    update api_key set last_used_at = ${at}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("key", keyId)}
      and (last_used_at is null or last_used_at <= ${at}::timestamptz - interval '1 minute')`;
}

function columns(sql: Sql) {
  return sql`'key_' || id as id, name, public_id, to_jsonb(scopes) as scopes, created_by, created_at, expires_at,
    last_used_at, revoked_at`;
}
