/** Refresh tokens, by their hashes: each is spent once, for the next one of its session. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface NewRefreshToken {
  /** `peppered(pepper, "refresh", token)`. */
  readonly hash: Uint8Array;
  /** Makes the successor, with the token and the pepper. */
  readonly salt: Uint8Array;
  readonly issuedAt: Date;
}

export interface RefreshToken extends NewRefreshToken {
  readonly spentAt: Date | null;
}

export async function insertRefreshToken(
  sql: Sql,
  personId: string,
  sessionId: string,
  token: NewRefreshToken,
): Promise<void> {
  await sql`
    insert into refresh_token (person_id, session_id, hash, salt, issued_at)
    values (${uuidOf("person", personId)}, ${uuidOf("session", sessionId)}, ${token.hash},
      ${token.salt}, ${token.issuedAt})`;
}

export async function getRefreshToken(
  sql: Sql,
  personId: string,
  sessionId: string,
  hash: Uint8Array,
): Promise<RefreshToken | null> {
  const [token] = await sql<RefreshToken[]>`
    select hash, salt, issued_at, spent_at from refresh_token
    where person_id = ${uuidOf("person", personId)}
      and session_id = ${uuidOf("session", sessionId)} and hash = ${hash}`;
  return token ?? null;
}

export async function spendRefreshToken(
  sql: Sql,
  personId: string,
  sessionId: string,
  { hash, at }: { readonly hash: Uint8Array; readonly at: Date },
): Promise<void> {
  await sql`
    update refresh_token set spent_at = ${at}
    where person_id = ${uuidOf("person", personId)}
      and session_id = ${uuidOf("session", sessionId)} and hash = ${hash} and spent_at is null`;
}
