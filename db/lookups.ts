/** The look-ups: what finds a tenant before one is known. In `Database.lookup`, and ids are all they return. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface NumberOwner {
  readonly tenantId: string;
  /** Null while no agent answers it. */
  readonly agentId: string | null;
  /** The tenant's: what is cached of it under an older one is stale. */
  readonly configVersion: number;
}

/** Whose number this is (E.164), and the agent that answers it; null when it is nobody's here. */
export async function numberOwner(sql: Sql, number: string): Promise<NumberOwner | null> {
  const [owner] = await sql<NumberOwner[]>`
    select 'tenant_' || tenant_id as tenant_id, 'agent_' || agent_id as agent_id,
      config_version::int as config_version
    from number_route(${number})`;
  return owner ?? null;
}

/** A tenant by its id, and whether a number is its own; null when there is no such tenant. */
export async function tenantRoute(
  sql: Sql,
  tenantId: string,
  number: string,
): Promise<
  | { readonly configVersion: number; readonly isOwn: boolean; readonly agentId: string | null }
  | null
> {
  const [route] = await sql<
    { configVersion: number; isOwn: boolean; agentId: string | null }[]
  >`
    select config_version::int as config_version, is_own, 'agent_' || agent_id as agent_id
    from tenant_route(${uuidOf("tenant", tenantId)}, ${number})`;
  return route ?? null;
}

/** Tenants with a data key that the key-encryption key of this name does not wrap, by id from after `after`. */
export async function tenantsNotWrappedBy(
  sql: Sql,
  kek: string,
  { after, limit }: { readonly after: string | null; readonly limit: number },
): Promise<string[]> {
  const rows = await sql<{ tenantId: string }[]>`
    select 'tenant_' || tenant_id as tenant_id
    from tenants_not_wrapped_by(${kek}, ${after && uuidOf("tenant", after)}, ${limit})`;
  return rows.map(({ tenantId }) => tenantId);
}

/** A page of tenants by id: those after `after`, from the first when it is null. */
export interface TenantPage {
  readonly after: string | null;
  readonly limit: number;
}

/** Those with audit entries that wait for their seal. */
export async function tenantsToSeal(sql: Sql, { after, limit }: TenantPage): Promise<string[]> {
  return ids(
    await sql`select 'tenant_' || tenant_id as id
      from tenants_to_seal(${uuidAfter(after)}::uuid, ${limit}::int)`,
  );
}

export async function tenantsAfter(sql: Sql, { after, limit }: TenantPage): Promise<string[]> {
  return ids(
    await sql`select 'tenant_' || tenant_id as id
      from tenants_after(${uuidAfter(after)}::uuid, ${limit}::int)`,
  );
}

/** Those that keep calls or audit entries for a limited time. */
export async function tenantsWithRetention(
  sql: Sql,
  { after, limit }: TenantPage,
): Promise<string[]> {
  return ids(
    await sql`select 'tenant_' || tenant_id as id
      from tenants_with_retention(${uuidAfter(after)}::uuid, ${limit}::int)`,
  );
}

function uuidAfter(id: string | null): string | null {
  return id === null ? null : uuidOf("tenant", id);
}

function ids(rows: readonly Record<string, unknown>[]): string[] {
  return rows.map(({ id }) => String(id));
}
