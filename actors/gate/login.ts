/** Entries of who logs in: with a password, with a refresh token, and out again. */

import type { Sql } from "@/db/client.ts";
import { personByEmail, personTenants, refreshTokenOwner } from "@/db/lookups.ts";
import { getLogin, getPerson, updatePassword } from "@/db/people.ts";
import { getRefreshToken, insertRefreshToken, spendRefreshToken } from "@/db/refresh_tokens.ts";
import { deleteSessions, lockSession, revokeSession, updateSessionUse } from "@/db/sessions.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { entry } from "./entry.ts";
import type { Lobby } from "./lobby.ts";
import { judgeRefresh, slide, successorOf } from "./refresh.ts";
import {
  ABSOLUTE_MS,
  auditPerson,
  currentTenant,
  ENTRY_MS,
  newRefreshToken,
  newSession,
  pepperOf,
  refreshHash,
  takeTry,
  type TokensView,
  viewOf,
} from "./sign_in.ts";

export interface Credentials {
  /** In lower case. */
  readonly email: string;
  readonly password: string;
}

/** Who has shown the password of an account. */
export interface Known {
  readonly personId: string;
  readonly primaryTenantId: string | null;
  readonly tenantIds: readonly string[];
}

export const loginEntries = {
  jwks: entry(async (lobby, _: void) => {
    pepperOf(lobby);
    return await lobby.tokens.jwks();
  }),

  logIn: entry(async (lobby, credentials: Credentials): Promise<TokensView> => {
    await takeTry(lobby, "login", credentials.email);
    const { personId, primaryTenantId, tenantIds } = await checkPassword(lobby, credentials);
    const tenantId = currentTenant(primaryTenantId, tenantIds);
    const session = await newSession(lobby, { personId, tenantId });
    const forgotten = new Date(lobby.clock.date().getTime() - ABSOLUTE_MS);
    await lobby.database.asPerson("rest", { personId, tenantIds }, ENTRY_MS, async (sql) => {
      await deleteSessions(sql, personId, forgotten);
      await session.write(sql);
    });
    return session.view;
  }),

  refresh: entry(async (lobby, { refreshToken }: { refreshToken: string }): Promise<TokensView> => {
    const { database, tokens } = lobby;
    const hash = refreshHash(pepperOf(lobby), refreshToken);
    const owner = await database.lookup("rest", ENTRY_MS, async (sql) => {
      const found = await refreshTokenOwner(sql, hash);
      return found && { ...found, tenantIds: await personTenants(sql, found.personId) };
    });
    if (owner === null) throw notLoggedIn();
    const access = await tokens.issue(owner); // first: what is spent must come to its answer
    const rotated = await database.asPerson(
      "rest",
      owner,
      ENTRY_MS,
      (sql) => rotate(lobby, sql, owner, refreshToken),
    );
    if (rotated === null) {
      lobby.personChanged(owner.personId); // a reused token has ended the session
      throw notLoggedIn();
    }
    return viewOf(access, rotated);
  }),

  logOut: entry(async (lobby, { refreshToken }: { refreshToken: string }): Promise<void> => {
    const { database, clock } = lobby;
    const hash = refreshHash(pepperOf(lobby), refreshToken);
    const owner = await database.lookup("rest", ENTRY_MS, (sql) => refreshTokenOwner(sql, hash));
    if (owner === null) return; // RFC 7009 2.2: it is of no use, and that is what was asked for
    const { personId, sessionId } = owner;
    const end = { at: clock.date(), reason: "logged_out" } as const;
    await database.asPerson("rest", { personId, tenantIds: [] }, ENTRY_MS, async (sql) => {
      await revokeSession(sql, personId, sessionId, end);
    });
    lobby.personChanged(personId);
  }),
};

/**
 * The same work and the same refusal for an address that nobody has, a wrong password and a person
 * who may not log in. Throws AppError("unauthenticated").
 */
export async function checkPassword(
  lobby: Lobby,
  { email, password }: Credentials,
): Promise<Known> {
  const { database, passwords, clock, signal } = lobby;
  const found = await database.lookup("rest", ENTRY_MS, async (sql) => {
    const personId = await personByEmail(sql, email);
    const asked = personId ?? newId("person");
    return { personId: asked, tenantIds: await personTenants(sql, asked) };
  });
  const { personId } = found;
  const login = await database.asPerson("rest", found, ENTRY_MS, (sql) => getLogin(sql, personId));
  const checked = await passwords.verify(password, login?.passwordHash ?? null, signal);
  if (login === null || !checked.isRight || login.disabledAt !== null) throw notLoggedIn();
  if (checked.isStale) {
    const hash = await passwords.hash(password, signal);
    await database.asPerson(
      "rest",
      found,
      ENTRY_MS,
      (sql) => updatePassword(sql, personId, hash, clock.date()),
    );
  }
  return { ...found, primaryTenantId: login.primaryTenantId };
}

/** Null: the session is over, or is so from now on. */
async function rotate(
  lobby: Lobby,
  sql: Sql,
  owner: { readonly personId: string; readonly sessionId: string; tenantIds: readonly string[] },
  refreshToken: string,
) {
  const { personId, sessionId, tenantIds } = owner;
  const pepper = pepperOf(lobby);
  const hash = refreshHash(pepper, refreshToken);
  const session = await lockSession(sql, personId, sessionId);
  const token = await getRefreshToken(sql, personId, sessionId, hash);
  const person = await getPerson(sql, personId);
  if (session === null || token === null || person === null) return null;
  const now = lobby.clock.date();
  const tenantId = currentTenant(person.primaryTenantId, tenantIds);
  const successor = successorOf(pepper, refreshToken, token.salt);
  switch (judgeRefresh(token, session, person, now)) {
    case "over":
      return null;
    case "repeated":
      return { refreshToken: successor, expiresAt: session.expiresAt, now, tenantId };
    case "reused":
      await revokeSession(sql, personId, sessionId, { at: now, reason: "token_reused" });
      await auditPerson(lobby, sql, {
        personId,
        primaryTenantId: person.primaryTenantId,
        tenantIds,
        action: "refresh.reused",
        subjectId: sessionId,
      });
      return null;
    case "fresh": {
      const expiresAt = slide(session, now);
      await spendRefreshToken(sql, personId, sessionId, { hash, at: now });
      const next = newRefreshToken(pepper, successor, now);
      await insertRefreshToken(sql, personId, sessionId, next);
      await updateSessionUse(sql, personId, sessionId, { at: now, expiresAt });
      return { refreshToken: successor, expiresAt, now, tenantId };
    }
  }
}

function notLoggedIn(): AppError {
  return new AppError("unauthenticated", "The credentials are not valid");
}
