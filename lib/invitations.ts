/** What an invitation's token is kept as, and how an invitation stands. */

import { peppered } from "./pepper.ts";
import type { Secret } from "./secret.ts";

export type InvitationState = "pending" | "accepted" | "expired" | "revoked";

/** What is stored of a token: it tells nothing without the house's pepper. */
export function invitationHash(pepper: Secret, token: string): Uint8Array<ArrayBuffer> {
  return peppered(pepper, "invitation", token);
}

export function invitationState(
  { acceptedAt, revokedAt, expiresAt }: {
    readonly acceptedAt: Date | null;
    readonly revokedAt: Date | null;
    readonly expiresAt: Date;
  },
  now: Date,
): InvitationState {
  if (acceptedAt !== null) return "accepted";
  if (revokedAt !== null) return "revoked";
  return expiresAt <= now ? "expired" : "pending";
}
