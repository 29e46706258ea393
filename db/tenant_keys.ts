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

/** The first one stays: two machines may make it at once. */
export async function insertTenantKey(sql: Sql, tenantId: string, key: TenantKey): Promise<void> {
  await sql`
    insert into tenant_key (tenant_id, version, wrapped, kek)
    values (${uuidOf("tenant", tenantId)}, ${key.version}, ${key.wrapped}, ${key.kek})
    on conflict do nothing`;
}
