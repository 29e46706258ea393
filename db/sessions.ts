/** Sessions: a login on one device, and the family of its refresh tokens. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

const SESSIONS_MAX = 200;

export interface Session {
  readonly id: string;
  readonly userAgent: string;
  readonly address: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
  /** Moves on with every refresh. */
  readonly expiresAt: Date;
}

export interface SessionRow extends Session {
  readonly revokedAt: Date | null;
}

/** Why a session ended before its time. */
export type RevokedReason = "logged_out" | "revoked" | "token_reused" | "password_changed";

export async function insertSession(sql: Sql, personId: string, session: Session): Promise<void> {
  await sql`
    insert into session (person_id, id, user_agent, address, created_at, last_used_at, expires_at)
    values (${uuidOf("person", personId)}, ${uuidOf("session", session.id)}, ${session.userAgent},
      ${session.address}, ${session.createdAt}, ${session.lastUsedAt}, ${session.expiresAt})`;
}

export async function getSession(
  sql: Sql,
  personId: string,
  sessionId: string,
): Promise<SessionRow | null> {
  const [session] = await sql<SessionRow[]>`
    select 'session_' || id as id, user_agent, address, created_at, last_used_at, expires_at,
      revoked_at
    from session
    where person_id = ${uuidOf("person", personId)} and id = ${uuidOf("session", sessionId)}`;
  return session ?? null;
}

/** As `getSession`, and nobody else changes it or its tokens until this transaction ends. */
export async function lockSession(
  sql: Sql,
  personId: string,
  sessionId: string,
): Promise<SessionRow | null> {
  const [session] = await sql<SessionRow[]>`
    select 'session_' || id as id, user_agent, address, created_at, last_used_at, expires_at,
      revoked_at
    from session
    where person_id = ${uuidOf("person", personId)} and id = ${uuidOf("session", sessionId)}
    for update`;
  return session ?? null;
}

/** Those that live at `now`, the one used last first. */
export async function listSessions(sql: Sql, personId: string, now: Date): Promise<Session[]> {
  return await sql<Session[]>`
    select 'session_' || id as id, user_agent, address, created_at, last_used_at, expires_at
    from session
    where person_id = ${uuidOf("person", personId)} and revoked_at is null and expires_at > ${now}
    order by last_used_at desc, id
    limit ${SESSIONS_MAX}`;
}

export async function updateSessionUse(
  sql: Sql,
  personId: string,
  sessionId: string,
  use: { readonly at: Date; readonly expiresAt: Date },
): Promise<void> {
  await sql`
    update session set last_used_at = ${use.at}, expires_at = ${use.expiresAt}
    where person_id = ${uuidOf("person", personId)} and id = ${uuidOf("session", sessionId)}`;
}

/** False when there is none that lives. */
export async function revokeSession(
  sql: Sql,
  personId: string,
  sessionId: string,
  end: { readonly at: Date; readonly reason: RevokedReason },
): Promise<boolean> {
  const rows = await sql`
    update session set revoked_at = ${end.at}, revoked_reason = ${end.reason}
    where person_id = ${uuidOf("person", personId)} and id = ${uuidOf("session", sessionId)}
      and revoked_at is null and expires_at > ${end.at}`;
  return rows.count === 1;
}

/** All that live but `exceptId`; null: all. Returns how many. */
export async function revokeSessions(
  sql: Sql,
  personId: string,
  exceptId: string | null,
  end: { readonly at: Date; readonly reason: RevokedReason },
): Promise<number> {
  const kept = exceptId && uuidOf("session", exceptId);
  const rows = await sql`
    update session set revoked_at = ${end.at}, revoked_reason = ${end.reason}
    where person_id = ${uuidOf("person", personId)} and revoked_at is null
      and expires_at > ${end.at} and (${kept}::uuid is null or id <> ${kept})`;
  return rows.count;
}

/** Those that ended before `before`, with their tokens: nothing is learnt from them any more. */
export async function deleteSessions(sql: Sql, personId: string, before: Date): Promise<void> {
  await sql`
    delete from session
    where person_id = ${uuidOf("person", personId)} and expires_at < ${before}`;
}
