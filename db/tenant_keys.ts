/** The tenants' data keys, each wrapped by a key-encryption key of the house. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface TenantKey {
  readonly version: number;
  readonly wrapped: Uint8Array<ArrayBuffer>;
  /** The name of the key-encryption key. */
  readonly kek: string;
}

/** Newest first; a tenant has few. */
export async function listTenantKeys(sql: Sql, tenantId: string): Promise<TenantKey[]> {
  return await sql<TenantKey[]>`
    select version, wrapped, kek from tenant_key
    where tenant_id = ${uuidOf("tenant", tenantId)}
    order by version desc
    limit 100`;
}

/** False when there is one of this version: it stays, since two machines may make it at once. */
export async function insertTenantKey(
  sql: Sql,
  tenantId: string,
  key: TenantKey,
): Promise<boolean> {
  const rows = await sql`
    insert into tenant_key (tenant_id, version, wrapped, kek)
    values (${uuidOf("tenant", tenantId)}, ${key.version}, ${key.wrapped}, ${key.kek})
    on conflict do nothing`;
  return rows.count === 1;
}

/** The same key under another wrap. False when it is no longer wrapped by `kek`. */
export async function updateTenantKeyWrap(
  sql: Sql,
  tenantId: string,
  kek: string,
  key: TenantKey,
): Promise<boolean> {
  const rows = await sql`
    update tenant_key set wrapped = ${key.wrapped}, kek = ${key.kek}
    where tenant_id = ${uuidOf("tenant", tenantId)} and version = ${key.version} and kek = ${kek}`;
  return rows.count === 1;
}

/** Versions that have had a successor for `forMs`: nobody seals under them any more. */
export async function listSupersededKeys(
  sql: Sql,
  tenantId: string,
  forMs: number,
): Promise<number[]> {
  const rows = await sql<{ version: number }[]>`
    select k.version from tenant_key k
    where k.tenant_id = ${uuidOf("tenant", tenantId)}
      and exists (
        select 1 from tenant_key n
        where n.tenant_id = k.tenant_id and n.version > k.version
          and n.created_at < now() - ${forMs} * interval '1 millisecond')
    order by k.version
    limit 100`;
  return rows.map(({ version }) => version);
}

export async function deleteTenantKey(
  sql: Sql,
  tenantId: string,
  version: number,
): Promise<void> {
  await sql`
    delete from tenant_key
    where tenant_id = ${uuidOf("tenant", tenantId)} and version = ${version}`;
}
