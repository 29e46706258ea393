/** Invitations: that a person may become a member, by a token that was mailed to them. */

import type { Role } from "@/lib/access.ts";
import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface Invitation {
  readonly id: string;
  /** In lower case. */
  readonly email: string;
  readonly role: Role;
  /** A prefixed id. */
  readonly invitedBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly acceptedAt: Date | null;
  readonly revokedAt: Date | null;
}

export interface NewInvitation {
  readonly id: string;
  /** In lower case. */
  readonly email: string;
  readonly role: Role;
  /** `peppered(pepper, "invitation", token)` */
  readonly tokenHash: Uint8Array;
  readonly invitedBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** False when one for the same address is pending; one that has expired by now makes room. */
export async function insertInvitation(
  sql: Sql,
  tenantId: string,
  invitation: NewInvitation,
): Promise<boolean> {
  const tenant = uuidOf("tenant", tenantId);
  const { email, createdAt } = invitation;
  await sql`
    update invitation set revoked_at = ${createdAt}
    where tenant_id = ${tenant} and email = ${email} and accepted_at is null and revoked_at is null
      and expires_at <= ${createdAt}`;
  const rows = await sql`
    insert into invitation (tenant_id, id, email, role, token_hash, invited_by, created_at,
      expires_at)
    values (${tenant}, ${uuidOf("invitation", invitation.id)}, ${email}, ${invitation.role},
      ${invitation.tokenHash}, ${invitation.invitedBy}, ${createdAt}, ${invitation.expiresAt})
    on conflict (tenant_id, email) where accepted_at is null and revoked_at is null do nothing`;
  return rows.count === 1;
}

export async function getInvitation(
  sql: Sql,
  tenantId: string,
  invitationId: string,
): Promise<Invitation | null> {
  const [invitation] = await sql<Invitation[]>`
    select 'invitation_' || id as id, email, role, invited_by, created_at, expires_at, accepted_at,
      revoked_at
    from invitation
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and id = ${uuidOf("invitation", invitationId)}`;
  return invitation ?? null;
}

/** Newest first. `before` is the id of the last one already seen. */
export async function listInvitations(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string },
): Promise<Invitation[]> {
  return await sql<Invitation[]>`
    select 'invitation_' || id as id, email, role, invited_by, created_at, expires_at, accepted_at,
      revoked_at
    from invitation
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${page.before ? sql`and id < ${uuidOf("invitation", page.before)}` : sql``}
    order by invitation.id desc
    limit ${page.limit}`;
}

/** Another token in place of the one before; false when it was accepted or revoked. */
export async function updateInvitationToken(
  sql: Sql,
  tenantId: string,
  invitationId: string,
  change: { readonly tokenHash: Uint8Array; readonly expiresAt: Date },
): Promise<boolean> {
  const rows = await sql`
    update invitation set token_hash = ${change.tokenHash}, expires_at = ${change.expiresAt}
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and id = ${uuidOf("invitation", invitationId)}
      and accepted_at is null and revoked_at is null`;
  return rows.count === 1;
}

/** False when it was accepted or revoked before. */
export async function updateInvitationRevoked(
  sql: Sql,
  tenantId: string,
  invitationId: string,
  at: Date,
): Promise<boolean> {
  const rows = await sql`
    update invitation set revoked_at = ${at}
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and id = ${uuidOf("invitation", invitationId)}
      and accepted_at is null and revoked_at is null`;
  return rows.count === 1;
}

/**
 * Uses it up, once, for the address it was made for: the role to be given, or null when it is used,
 * expired or revoked, its token is another by now, or it is somebody else's.
 */
export async function updateInvitationAccepted(
  sql: Sql,
  tenantId: string,
  invitationId: string,
  accepted: { readonly tokenHash: Uint8Array; readonly email: string; readonly at: Date },
): Promise<Role | null> {
  const [invitation] = await sql<{ role: Role }[]>`
    update invitation set accepted_at = ${accepted.at}
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and id = ${uuidOf("invitation", invitationId)}
      and token_hash = ${accepted.tokenHash} and email = lower(${accepted.email})
      and accepted_at is null and revoked_at is null and expires_at > ${accepted.at}
    returning role`;
  return invitation?.role ?? null;
}
