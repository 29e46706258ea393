/** Password resets, by the hashes of their tokens: each is used once, within half an hour. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface PasswordReset {
  /** `peppered(pepper, "reset", token)`. */
  readonly hash: Uint8Array;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

export async function insertPasswordReset(
  sql: Sql,
  personId: string,
  reset: PasswordReset,
): Promise<void> {
  await sql`
    insert into password_reset (person_id, hash, created_at, expires_at)
    values (${uuidOf("person", personId)}, ${reset.hash}, ${reset.createdAt}, ${reset.expiresAt})`;
}

/** False when it was used before, or has expired at `at`. */
export async function usePasswordReset(
  sql: Sql,
  personId: string,
  { hash, at }: { readonly hash: Uint8Array; readonly at: Date },
): Promise<boolean> {
  const rows = await sql`
    update password_reset set used_at = ${at}
    where person_id = ${uuidOf("person", personId)} and hash = ${hash} and used_at is null
      and expires_at > ${at}`;
  return rows.count === 1;
}

/** Those that were not used: a new password ends them. */
export async function endPasswordResets(sql: Sql, personId: string, at: Date): Promise<void> {
  await sql`
    update password_reset set used_at = ${at}
    where person_id = ${uuidOf("person", personId)} and used_at is null`;
}

/** Those that expired before `before`. */
export async function deletePasswordResets(
  sql: Sql,
  personId: string,
  before: Date,
): Promise<void> {
  await sql`
    delete from password_reset
    where person_id = ${uuidOf("person", personId)} and expires_at < ${before}`;
}
