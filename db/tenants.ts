/** Tenants: whose everything else is. */

import type { TenantStatus } from "@/lib/access.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export interface Tenant {
  readonly id: string;
  readonly name: string;
}

/** Its settings are JSON, checked by who writes and reads them. */
export interface TenantRow extends Tenant {
  readonly status: TenantStatus;
  /** The language models that operators let it use; null: all there are. */
  readonly models: readonly string[] | null;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Grows with every change that a gate or a desk may have cached; the ETag of the settings. */
  readonly configVersion: number;
  readonly createdAt: Date;
}

/** False when there is one with this id. */
export async function insertTenant(sql: Sql, tenant: Tenant): Promise<boolean> {
  const rows = await sql`
    insert into tenant (id, name) values (${uuidOf("tenant", tenant.id)}, ${tenant.name})
    on conflict do nothing`;
  return rows.count === 1;
}

export async function getTenant(sql: Sql, tenantId: string): Promise<TenantRow | null> {
  const [tenant] = await sql<TenantRow[]>`
    select 'tenant_' || id as id, name, status, models, settings, config_version::int as config_version,
      created_at
    from tenant where id = ${uuidOf("tenant", tenantId)}`;
  return tenant ?? null;
}

/** False when its version is no longer the `expected` one; a null `expected` is any. */
export async function updateTenant(
  sql: Sql,
  tenantId: string,
  change: { readonly name: string; readonly settings: Readonly<Record<string, unknown>> },
  expected: number | null,
): Promise<boolean> {
  const rows = await sql`
    update tenant set name = ${change.name}, settings = ${asJson(sql, change.settings)}
    where id = ${uuidOf("tenant", tenantId)}
      and (${expected}::bigint is null or config_version = ${expected})`;
  return rows.count === 1;
}

/** Returns the new version. */
export async function bumpConfigVersion(sql: Sql, tenantId: string): Promise<number> {
  const [tenant] = await sql<{ version: number }[]>`
    update tenant set config_version = config_version + 1 where id = ${uuidOf("tenant", tenantId)}
    returning config_version::int as version`;
  if (!tenant) throw new Error(`No tenant "${tenantId}"`);
  return tenant.version;
}

/** A tenant as operators see it. */
export interface TenantSummary {
  readonly id: string;
  readonly name: string;
  readonly status: TenantStatus;
  readonly memberCount: number;
  /** Archived ones are not counted. */
  readonly agentCount: number;
  /** Ringing ones too. */
  readonly liveCallCount: number;
  /** Null: all there are. */
  readonly models: readonly string[] | null;
  readonly createdAt: Date;
}

/** Those of the transaction's tenants, newest first. */
export async function listTenants(
  sql: Sql,
  tenantIds: readonly string[],
): Promise<TenantSummary[]> {
  const ids = `{${tenantIds.map((id) => uuidOf("tenant", id)).join(",")}}`;
  return await sql<TenantSummary[]>`
    select 'tenant_' || t.id as id, t.name, t.status, t.models, t.created_at,
      (select count(*)::int from member m where m.tenant_id = t.id) as member_count,
      (select count(*)::int from agent a where a.tenant_id = t.id and a.archived_at is null)
        as agent_count,
      (select count(*)::int from call c where c.tenant_id = t.id and c.status <> 'ended')
        as live_call_count
    from tenant t
    where t.id = any (${ids}::uuid[])
    order by t.id desc`;
}

/** False when its status is none of `from`. */
export async function updateTenantStatus(
  sql: Sql,
  tenantId: string,
  { from, to }: { readonly from: readonly TenantStatus[]; readonly to: TenantStatus },
): Promise<boolean> {
  const rows = await sql`
    update tenant set status = ${to}
    where id = ${uuidOf("tenant", tenantId)} and status = any (${`{${from.join(",")}}`}::text[])`;
  return rows.count === 1;
}

/** Null: all there are. */
export async function updateTenantModels(
  sql: Sql,
  tenantId: string,
  models: readonly string[] | null,
): Promise<void> {
  await sql`
    update tenant set models = ${models === null ? null : asJson(sql, models)}
    where id = ${uuidOf("tenant", tenantId)}`;
}
