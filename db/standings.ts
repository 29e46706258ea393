/** Standings: how one who shows a credential stands in a tenant, read in one query. */

import type { Role, Scope, TenantStatus } from "@/lib/access.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface TenantStanding {
  readonly tenantId: string;
  readonly status: TenantStatus;
  readonly configVersion: number;
}

export interface KeyStanding extends TenantStanding {
  readonly hash: Uint8Array;
  readonly scopes: readonly Scope[];
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

export async function getKeyStanding(
  sql: Sql,
  tenantId: string,
  keyId: string,
): Promise<KeyStanding | null> {
  const [standing] = await sql<KeyStanding[]>`
    select 'tenant_' || t.id as tenant_id, t.status, t.config_version::int as config_version,
      k.hash, to_jsonb(k.scopes) as scopes, k.expires_at, k.last_used_at, k.revoked_at
    from api_key k join tenant t on t.id = k.tenant_id
    where k.tenant_id = ${uuidOf("tenant", tenantId)} and k.id = ${uuidOf("key", keyId)}`;
  return standing ?? null;
}

export interface VisitStanding extends TenantStanding {
  readonly hash: Uint8Array;
  readonly operator: string;
  readonly role: Role;
  readonly expiresAt: Date;
  readonly endedAt: Date | null;
}

export async function getVisitStanding(
  sql: Sql,
  tenantId: string,
  visitId: string,
): Promise<VisitStanding | null> {
  const [standing] = await sql<VisitStanding[]>`
    select 'tenant_' || t.id as tenant_id, t.status, t.config_version::int as config_version,
      v.hash, v.operator, v.role, v.expires_at, v.ended_at
    from operator_visit v join tenant t on t.id = v.tenant_id
    where v.tenant_id = ${uuidOf("tenant", tenantId)} and v.id = ${uuidOf("visit", visitId)}`;
  return standing ?? null;
}

export interface PersonStanding {
  readonly isOperator: boolean;
  readonly disabledAt: Date | null;
  readonly sessionExpiresAt: Date;
  readonly sessionRevokedAt: Date | null;
}

/** In a transaction of the person; null when there is no such session. */
export async function getPersonStanding(
  sql: Sql,
  { personId, sessionId }: { readonly personId: string; readonly sessionId: string },
): Promise<PersonStanding | null> {
  const [standing] = await sql<PersonStanding[]>`
    select p.is_operator, p.disabled_at, s.expires_at as session_expires_at,
      s.revoked_at as session_revoked_at
    from person p join session s on s.person_id = p.id
    where p.id = ${uuidOf("person", personId)} and s.id = ${uuidOf("session", sessionId)}`;
  return standing ?? null;
}

export interface MemberStanding extends TenantStanding {
  readonly role: Role;
}

/**
 * In a transaction of the person and of their tenants: in the tenant that was asked for, or (null) in
 * the primary one, else the first one that they joined. Null: in none of these.
 */
export async function getMemberStanding(
  sql: Sql,
  personId: string,
  wantedTenantId: string | null,
): Promise<MemberStanding | null> {
  const wanted = wantedTenantId === null ? null : uuidOf("tenant", wantedTenantId);
  const [standing] = await sql<MemberStanding[]>`
    select 'tenant_' || t.id as tenant_id, t.status, t.config_version::int as config_version, m.role
    from member m
      join person p on p.id = m.person_id
      join tenant t on t.id = m.tenant_id
    where m.person_id = ${uuidOf("person", personId)}
      and (${wanted}::uuid is null or m.tenant_id = ${wanted}::uuid)
    order by (m.tenant_id = p.primary_tenant_id) is true desc, m.id
    limit 1`;
  return standing ?? null;
}
