/** The entry of who was invited and has not signed up: what the invitation is to. */

import { getInvitation } from "@/db/invitations.ts";
import { invitationOwner } from "@/db/lookups.ts";
import { getTenant } from "@/db/tenants.ts";
import type { Role } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { invitationHash, invitationState } from "@/lib/invitations.ts";
import { entry } from "./entry.ts";
import { pepperOf } from "./sign_in.ts";

const ENTRY_MS = 10_000;

export interface ValidInvitation {
  readonly tenantName: string;
  /** Whoever accepts must have this address. */
  readonly email: string;
  readonly role: Role;
  readonly expiresAt: string;
}

export const invitationEntries = {
  /** Throws not_found for a token that is none, or that was replaced; gone for one that is used up. */
  validateInvitation: entry(async (lobby, token: string): Promise<ValidInvitation> => {
    const { database, clock } = lobby;
    const hash = invitationHash(pepperOf(lobby), token);
    const owner = await database.lookup("rest", ENTRY_MS, (sql) => invitationOwner(sql, hash));
    const found = owner && await database.asTenant(
      "rest",
      owner.tenantId,
      ENTRY_MS,
      async (sql) => ({
        invitation: await getInvitation(sql, owner.tenantId, owner.invitationId),
        tenant: await getTenant(sql, owner.tenantId),
      }),
    );
    if (!found?.invitation || !found.tenant) {
      throw new AppError("not_found", "No such invitation");
    }
    const { email, role, expiresAt } = found.invitation;
    const state = invitationState(found.invitation, clock.date());
    if (state !== "pending") {
      const how = state === "accepted" ? "used" : state;
      throw new AppError("gone", `The invitation is ${how}: ask for another one`);
    }
    return { tenantName: found.tenant.name, email, role, expiresAt: expiresAt.toISOString() };
  }),
};
