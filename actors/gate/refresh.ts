/** The rules of refresh tokens: each is good once, and again for a moment for who did not hear the answer. */

import { peppered } from "@/lib/pepper.ts";
import type { Secret } from "@/lib/secret.ts";
import { ABSOLUTE_MS, SLIDING_MS } from "./sign_in.ts";

/** An answer that was lost on its way can be asked for again so long. */
export const GRACE_MS = 10_000;

export type RefreshVerdict =
  | "fresh" // exchange it
  | "repeated" // give the successor that it has
  | "reused" // two hold it: end the session
  | "over"; // the session has ended, or its person may not log in

export function judgeRefresh(
  token: { readonly spentAt: Date | null },
  session: { readonly revokedAt: Date | null; readonly expiresAt: Date },
  person: { readonly disabledAt: Date | null },
  now: Date,
): RefreshVerdict {
  if (session.revokedAt !== null || session.expiresAt <= now) return "over";
  if (person.disabledAt !== null) return "over";
  if (token.spentAt === null) return "fresh";
  return now.getTime() - token.spentAt.getTime() <= GRACE_MS ? "repeated" : "reused";
}

/** Until when a session lives that is used now. */
export function slide(session: { readonly createdAt: Date }, now: Date): Date {
  const slid = now.getTime() + SLIDING_MS;
  return new Date(Math.min(slid, session.createdAt.getTime() + ABSOLUTE_MS));
}

/** 256 bits in base64url: the same for the same token, and nothing that the database alone could tell. */
export function successorOf(pepper: Secret, token: string, salt: Uint8Array): string {
  return peppered(pepper, "refresh successor", `${token}\0${new Uint8Array(salt).toHex()}`)
    .toBase64({ alphabet: "base64url", omitPadding: true });
}
