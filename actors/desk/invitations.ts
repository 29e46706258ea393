/** Errands on invitations: asking somebody in by mail, asking again, and taking it back. */

import type { Sql } from "@/db/client.ts";
import {
  getInvitation,
  insertInvitation,
  type Invitation,
  listInvitations,
  updateInvitationRevoked,
  updateInvitationToken,
} from "@/db/invitations.ts";
import { getMemberByEmail } from "@/db/members.ts";
import { getTenant } from "@/db/tenants.ts";
import type { Role } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { newId, newToken } from "@/lib/ids.ts";
import type { Bucket } from "@/lib/limits/limiter.ts";
import { invitationHash, invitationState } from "@/lib/invitations.ts";
import { errand } from "./errand.ts";
import { mayGive } from "./members.ts";
import type { Office } from "./office.ts";

/** What a token is good for, from its making or its making again. */
const DAYS = 7;
/** Mails of a tenant to people who may never have asked for one. */
const INVITES: Bucket = { name: "invite", capacity: 50, perSecond: 50 / 3_600, isStrict: true };

export interface InvitationView {
  readonly id: string;
  readonly email: string;
  readonly role: Role;
  readonly status: "pending" | "accepted" | "expired" | "revoked";
  /** A prefixed id. */
  readonly invitedBy: string;
  readonly createdAt: string;
  readonly expiresAt: string;
}

export const invitationErrands = {
  invitations: errand("members:read", async (
    { read, tenantId, clock },
    { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<{ items: InvitationView[]; next: string | null }> => {
    const page = cursor === undefined ? { limit } : { limit, before: cursor };
    const rows = await read((sql) => listInvitations(sql, tenantId, page));
    const items = rows.map((row) => toView(row, clock.date()));
    return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
  }),

  /** `email` is in lower case. */
  invite: errand("members:write", async (
    office,
    { email, role }: { readonly email: string; readonly role: Role },
  ): Promise<InvitationView> => {
    const { act, by, tenantId } = office;
    mayGive(by, role);
    const fresh = await freshToken(office);
    const row = {
      ...{ id: newId("invitation"), email, role, invitedBy: by.id, createdAt: fresh.at },
      ...{ expiresAt: fresh.expiresAt, tokenHash: fresh.tokenHash },
    };
    const name = await act(async ({ sql, audit, emit }) => {
      if (await getMemberByEmail(sql, tenantId, email) !== null) {
        throw new AppError("conflict", "Somebody with this address is a member", {
          field: "email",
        });
      }
      if (!await insertInvitation(sql, tenantId, row)) {
        throw new AppError("conflict", "An invitation to this address is pending: resend it", {
          field: "email",
        });
      }
      await audit({ action: "member.invited", subjectId: row.id, details: { email, role } });
      await emit("member.invited", { invitationId: row.id, email, role, by: by.id });
      return await tenantName(sql, tenantId);
    });
    mail(office, { email, role, name, ...fresh });
    return toView({ ...row, acceptedAt: null, revokedAt: null }, fresh.at);
  }),

  /** A new token for seven days more; the one before is good for nothing. */
  resendInvitation: errand(
    "members:write",
    async (office, invitationId: string): Promise<InvitationView> => {
      const { act, by, tenantId } = office;
      const fresh = await freshToken(office);
      const { expiresAt, at } = fresh;
      const { invitation, name } = await act(async ({ sql, audit }) => {
        const invitation = await found(sql, tenantId, invitationId);
        mayGive(by, invitation.role);
        if (!await updateInvitationToken(sql, tenantId, invitationId, fresh)) throw over();
        await audit({ action: "invitation.resent", subjectId: invitationId });
        return { invitation, name: await tenantName(sql, tenantId) };
      });
      const { email, role } = invitation;
      mail(office, { email, role, name, ...fresh });
      return toView({ ...invitation, expiresAt }, at);
    },
  ),

  revokeInvitation: errand("members:write", async (
    { act, tenantId, clock },
    invitationId: string,
  ): Promise<void> =>
    await act(async ({ sql, audit }) => {
      const { acceptedAt } = await found(sql, tenantId, invitationId);
      if (acceptedAt !== null) throw over();
      if (!await updateInvitationRevoked(sql, tenantId, invitationId, clock.date())) return;
      await audit({ action: "invitation.revoked", subjectId: invitationId });
    })),
};

interface Fresh {
  readonly token: string;
  readonly tokenHash: Uint8Array;
  readonly at: Date;
  readonly expiresAt: Date;
}

/** Throws AppError("rate_limited") for who mails too much, and "not_configured". */
async function freshToken({ pepper, clock, limiter, tenantId }: Office): Promise<Fresh> {
  if (pepper === null) {
    throw new AppError("not_configured", "Invitations need TOKEN_PEPPER", {
      field: "TOKEN_PEPPER",
    });
  }
  const { isAllowed, retryAfterS } = await limiter.take(INVITES, tenantId);
  if (!isAllowed) {
    throw new AppError("rate_limited", "Too many invitations were sent", { retryAfterS });
  }
  const token = newToken();
  const at = clock.date();
  const expiresAt = new Date(at.getTime() + DAYS * 86_400_000);
  return { token, tokenHash: invitationHash(pepper, token), at, expiresAt };
}

/** Beside the answer: who waits for a mail in vain asks for it again. */
function mail(
  { background, notifier, publicUrl }: Office,
  { email, role, name, token, expiresAt }: Fresh & {
    readonly email: string;
    readonly role: Role;
    readonly name: string;
  },
): void {
  const text = `You are invited to "${name}" as ${role}.

Your invitation is

${token}

Accept it by POST ${publicUrl}/api/v1/auth/signup with it as "invitationToken", your address, a name and
a password. It is good once, until ${expiresAt.toISOString()}.

If you did not expect this, do nothing.
`;
  const subject = `Invitation to "${name}"`;
  background.start(
    "mail of an invitation",
    (signal) => notifier.send({ to: email, subject, text }, signal),
  );
}

async function tenantName(sql: Sql, tenantId: string): Promise<string> {
  return (await getTenant(sql, tenantId))?.name ?? "";
}

async function found(sql: Sql, tenantId: string, invitationId: string): Promise<Invitation> {
  const invitation = await getInvitation(sql, tenantId, invitationId);
  if (invitation === null) throw new AppError("not_found", "No such invitation");
  return invitation;
}

function over(): AppError {
  return new AppError("conflict", "The invitation was accepted or revoked");
}

function toView(invitation: Invitation, now: Date): InvitationView {
  const { id, email, role, invitedBy, createdAt, expiresAt } = invitation;
  return {
    id,
    email,
    role,
    status: invitationState(invitation, now),
    invitedBy,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  };
}
