/** The look-ups: what finds a tenant before one is known. In `Database.lookup`, and ids are all they return. */

import { uuidOf } from "@/lib/ids.ts";
import type { WhenFull } from "@/lib/workflow/when_full.ts";
import type { Sql } from "./client.ts";

export interface NumberOwner {
  readonly tenantId: string;
  /** Null while no agent answers it. */
  readonly agentId: string | null;
  /** What its callers are offered while no line is free. */
  readonly whenFull: WhenFull;
  /** The tenant's: what is cached of it under an older one is stale. */
  readonly configVersion: number;
}

/** A person may be a member of so many tenants. */
const TENANTS_MAX = 100;

/** Null: there is no such number. */
interface Flags {
  readonly isWaited: boolean | null;
  readonly isCalledBack: boolean | null;
}

function whenFullOf({ isWaited, isCalledBack }: Flags): WhenFull {
  if (isCalledBack === true) return "callback";
  return isWaited === true ? "wait" : "busy";
}

/** Whose number this is (E.164), and the agent that answers it; null when it is nobody's here. */
export async function numberOwner(sql: Sql, number: string): Promise<NumberOwner | null> {
  const [owner] = await sql<(Omit<NumberOwner, "whenFull"> & Flags)[]>`
    select 'tenant_' || tenant_id as tenant_id, 'agent_' || agent_id as agent_id,
      config_version::int as config_version, is_waited, is_called_back
    from number_route(${number})`;
  if (owner === undefined) return null;
  const { isWaited, isCalledBack, ...rest } = owner;
  return { ...rest, whenFull: whenFullOf({ isWaited, isCalledBack }) };
}

export interface TenantRoute {
  readonly configVersion: number;
  readonly isOwn: boolean;
  /** Null while no agent answers it, or it is not the tenant's. */
  readonly agentId: string | null;
  /** As of a `NumberOwner`; null: it is not the tenant's. */
  readonly whenFull: WhenFull | null;
}

/** A tenant by its id, and whether a number is its own; null when there is no such tenant. */
export async function tenantRoute(
  sql: Sql,
  tenantId: string,
  number: string,
): Promise<TenantRoute | null> {
  const [route] = await sql<(Omit<TenantRoute, "whenFull"> & Flags)[]>`
    select config_version::int as config_version, is_own, 'agent_' || agent_id as agent_id,
      is_waited, is_called_back
    from tenant_route(${uuidOf("tenant", tenantId)}, ${number})`;
  if (route === undefined) return null;
  const { isWaited, isCalledBack, ...rest } = route;
  return { ...rest, whenFull: rest.isOwn ? whenFullOf({ isWaited, isCalledBack }) : null };
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

export async function tenantsAfter(sql: Sql, { after, limit }: TenantPage): Promise<string[]> {
  return ids(
    await sql`select 'tenant_' || tenant_id as id
      from tenants_after(${uuidAfter(after)}::uuid, ${limit}::int)`,
  );
}

function uuidAfter(id: string | null): string | null {
  return id === null ? null : uuidOf("tenant", id);
}

function ids(rows: readonly Record<string, unknown>[]): string[] {
  return rows.map(({ id }) => String(id));
}

/** Null: nobody has this address. */
export async function personByEmail(sql: Sql, email: string): Promise<string | null> {
  const [found] = await sql<{ id: string }[]>`
    select 'person_' || person_id as id from person_by_email(${email})`;
  return found?.id ?? null;
}

/** The tenants that a person is a member of, the first one joined first. */
export async function personTenants(sql: Sql, personId: string): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select 'tenant_' || t.tenant_id as id from person_tenants(${uuidOf("person", personId)}) t
    order by t.id
    limit ${TENANTS_MAX}`;
  return rows.map(({ id }) => id);
}

/** Whose refresh token has this hash, and of which session. */
export async function refreshTokenOwner(
  sql: Sql,
  hash: Uint8Array,
): Promise<{ readonly personId: string; readonly sessionId: string } | null> {
  const [owner] = await sql<{ personId: string; sessionId: string }[]>`
    select 'person_' || person_id as person_id, 'session_' || session_id as session_id
    from refresh_token_owner(${hash})`;
  return owner ?? null;
}

/** Whose password the reset token with this hash resets. */
export async function passwordResetOwner(sql: Sql, hash: Uint8Array): Promise<string | null> {
  const [owner] = await sql<{ id: string }[]>`
    select 'person_' || person_id as id from password_reset_owner(${hash})`;
  return owner?.id ?? null;
}

/** The tenant and the id of an API key; null when there is none with this public id. */
export async function apiKeyOwner(
  sql: Sql,
  publicId: string,
): Promise<{ readonly tenantId: string; readonly keyId: string } | null> {
  const [owner] = await sql<{ tenantId: string; keyId: string }[]>`
    select 'tenant_' || tenant_id as tenant_id, 'key_' || id as key_id
    from api_key_owner(${publicId})`;
  return owner ?? null;
}

/** As `apiKeyOwner`, of an operator's visit. */
export async function operatorVisitOwner(
  sql: Sql,
  publicId: string,
): Promise<{ readonly tenantId: string; readonly visitId: string } | null> {
  const [owner] = await sql<{ tenantId: string; visitId: string }[]>`
    select 'tenant_' || tenant_id as tenant_id, 'visit_' || id as visit_id
    from operator_visit_owner(${publicId})`;
  return owner ?? null;
}

/** Of the token's hash; null when no invitation has it. */
export async function invitationOwner(
  sql: Sql,
  tokenHash: Uint8Array,
): Promise<{ readonly tenantId: string; readonly invitationId: string } | null> {
  const [owner] = await sql<{ tenantId: string; invitationId: string }[]>`
    select 'tenant_' || tenant_id as tenant_id, 'invitation_' || id as invitation_id
    from invitation_owner(${tokenHash})`;
  return owner ?? null;
}

/** A page of the tenants there are, newest first; nulls: of any status, with any name, from the newest. */
export async function tenantsOfHouse(
  sql: Sql,
  page: {
    readonly status: string | null;
    readonly name: string | null;
    readonly before: string | null;
    readonly limit: number;
  },
): Promise<string[]> {
  const before = page.before === null ? null : uuidOf("tenant", page.before);
  const rows = await sql<{ tenantId: string }[]>`
    select 'tenant_' || tenant_id as tenant_id
    from tenants_of_house(${page.status}, ${page.name}, ${before}, ${page.limit})`;
  return rows.map(({ tenantId }) => tenantId);
}

/** Whose the talk ticket with this hash is; null when there is none. */
export async function talkTicketOwner(sql: Sql, hash: Uint8Array): Promise<string | null> {
  const [owner] = await sql<{ id: string }[]>`
    select 'tenant_' || tenant_id as id from talk_ticket_owner(${hash})`;
  return owner?.id ?? null;
}

/** Whose an agent is that anyone may talk to; null for every other agent. */
export async function publicTalkOwner(sql: Sql, agentId: string): Promise<string | null> {
  const uuid = uuidOf("agent", agentId);
  if (uuid === null) return null;
  const [owner] = await sql<{ id: string }[]>`
    select 'tenant_' || tenant_id as id from public_talk_owner(${uuid})`;
  return owner?.id ?? null;
}

/** Whose a page's call is that goes on, by what only that page can show; null: there is none. */
export async function webCallOwner(
  sql: Sql,
  { callId, carrierCallId }: { readonly callId: string; readonly carrierCallId: string },
): Promise<string | null> {
  const [owner] = await sql<{ id: string }[]>`
    select 'tenant_' || tenant_id as id
    from web_call_owner(${uuidOf("call", callId)}, ${carrierCallId})`;
  return owner?.id ?? null;
}

/** A call that no machine holds. */
export interface LeftCall {
  /** Null: it has ended, and only its owner's row is left. */
  readonly tenantId: string | null;
  readonly callId: string;
  /** Its machine gave it up for another one; else that machine is dead. */
  readonly isReleased: boolean;
}

/** Calls that nobody holds, by id. */
export async function leftCalls(sql: Sql, most: number): Promise<LeftCall[]> {
  return await sql<LeftCall[]>`
    select 'tenant_' || tenant_id as tenant_id, 'call_' || call_id as call_id, is_released
    from left_calls(${most})`;
}
