/** Credentials of providers that tenants have entrusted us with, sealed. */

import type { CredentialProvider, CredentialValues } from "@/lib/credentials.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";
import type { Place } from "./vault.ts";

export type CredentialStatus = "unchecked" | "valid" | "refused";

export interface NewCredential {
  readonly id: string;
  readonly provider: CredentialProvider;
  readonly name: string;
  /** A JSON object of its values. */
  readonly sealed: Uint8Array<ArrayBuffer>;
  readonly masked: CredentialValues;
  /** What the provider said last; `unchecked` while it has said nothing of these values. */
  readonly status: CredentialStatus;
  readonly checkedAt: Date | null;
}

export interface Credential extends NewCredential {
  /** Grows with every change of name or values; its ETag. */
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Where its sealed values stand. */
export function credentialPlace(tenantId: string, id: string): Place {
  return { tenantId, table: "credential", column: "sealed", row: id };
}

/** False when the tenant has one of this provider and name. */
export async function insertCredential(
  sql: Sql,
  tenantId: string,
  credential: NewCredential,
): Promise<boolean> {
  const { id, provider, name, sealed, masked, status, checkedAt } = credential;
  const rows = await sql`
    insert into credential (tenant_id, id, provider, name, sealed, masked, status, checked_at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("credential", id)}, ${provider}, ${name},
      ${sealed}, ${asJson(sql, masked)}, ${status}, ${checkedAt})
    on conflict do nothing`;
  return rows.count === 1;
}

export async function getCredential(
  sql: Sql,
  tenantId: string,
  id: string,
): Promise<Credential | null> {
  const [credential] = await sql<Credential[]>`
    select ${columns(sql)} from credential
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("credential", id)}`;
  return credential ?? null;
}

/** Newest first; `before` is the id of the last one already seen. */
export async function listCredentials(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string },
): Promise<Credential[]> {
  return await sql<Credential[]>`
    select ${columns(sql)} from credential
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${page.before === undefined ? sql`` : sql`and id < ${uuidOf("credential", page.before)}`}
    order by credential.id desc
    limit ${page.limit}`;
}

/** One a provider at most. */
export async function listCredentialsNamed(
  sql: Sql,
  tenantId: string,
  name: string,
): Promise<Credential[]> {
  return await sql<Credential[]>`
    select ${columns(sql)} from credential
    where tenant_id = ${uuidOf("tenant", tenantId)} and name = ${name}
    limit 100`;
}

export async function countCredentials(sql: Sql, tenantId: string): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from credential where tenant_id = ${uuidOf("tenant", tenantId)}`;
  return row?.count ?? 0;
}

/** Returns the new version; null when its version is no longer the `expected` one. */
export async function updateCredential(
  sql: Sql,
  tenantId: string,
  { id, name, sealed, masked, status, checkedAt }: Omit<NewCredential, "provider">,
  expected: number,
): Promise<number | null> {
  const [row] = await sql<{ version: number }[]>`
    update credential set name = ${name}, sealed = ${sealed}, masked = ${asJson(sql, masked)},
      status = ${status}, checked_at = ${checkedAt}, version = version + 1, updated_at = now()
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("credential", id)}
      and version = ${expected}
    returning version`;
  return row?.version ?? null;
}

/** Of the values that were checked: false when they have been replaced since. */
export async function updateCredentialStatus(
  sql: Sql,
  tenantId: string,
  { id, version, status, checkedAt }: Pick<Credential, "id" | "version" | "status" | "checkedAt">,
): Promise<boolean> {
  const rows = await sql`
    update credential set status = ${status}, checked_at = ${checkedAt}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("credential", id)}
      and version = ${version}`;
  return rows.count === 1;
}

/** False when there is none. */
export async function deleteCredential(
  sql: Sql,
  tenantId: string,
  id: string,
): Promise<boolean> {
  const rows = await sql`
    delete from credential
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("credential", id)}`;
  return rows.count === 1;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'credential_' || id as id, provider, name, sealed, masked, version, status, checked_at,
    created_at, updated_at`;
}
