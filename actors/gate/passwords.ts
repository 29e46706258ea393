/** Entries on passwords: to change one's own, and to set another when it is forgotten. */

import type { Sql } from "@/db/client.ts";
import { passwordResetOwner, personByEmail, personTenants } from "@/db/lookups.ts";
import {
  deletePasswordResets,
  endPasswordResets,
  insertPasswordReset,
  usePasswordReset,
} from "@/db/password_resets.ts";
import { getLogin, updatePassword } from "@/db/people.ts";
import { revokeSessions } from "@/db/sessions.ts";
import { AppError } from "@/lib/errors.ts";
import { newToken } from "@/lib/ids.ts";
import { peppered } from "@/lib/pepper.ts";
import { entry } from "./entry.ts";
import type { Lobby } from "./lobby.ts";
import { checkPassword } from "./login.ts";
import { auditPerson, ENTRY_MS, pepperOf, personOf, takeTry } from "./sign_in.ts";

export const RESET_MS = 30 * 60_000;

export interface PasswordChange {
  readonly currentPassword: string;
  readonly newPassword: string;
}

export interface ResetAnswer {
  readonly token: string;
  readonly newPassword: string;
}

export const passwordEntries = {
  /** All sessions but this one end. */
  changePassword: entry(async (lobby, change: PasswordChange): Promise<void> => {
    const { personId, sessionId } = personOf(lobby);
    const login = await loginOf(lobby, personId);
    if (login === null) throw new AppError("unauthenticated", "No such person");
    const { email } = login;
    await takeTry(lobby, "login", email);
    const known = await checkPassword(lobby, { email, password: change.currentPassword })
      .catch((error) => {
        if (!(error instanceof AppError) || error.code !== "unauthenticated") throw error;
        throw new AppError("forbidden", "The current password is another", {
          field: "currentPassword",
        });
      });
    const choice = { password: change.newPassword, email, field: "newPassword" };
    const hash = await lobby.passwords.hashNew(choice, lobby.signal);
    await lobby.database.asPerson(
      "rest",
      known,
      ENTRY_MS,
      (sql) => setPassword(lobby, sql, { ...known, hash, keepsSession: sessionId }),
    );
    lobby.personChanged(personId);
  }),

  /**
   * Says nothing, and takes as long, whether there is such an account or not: all that differs is
   * done after the answer.
   */
  resetPassword: entry(async (lobby, { email }: { readonly email: string }): Promise<void> => {
    pepperOf(lobby);
    await takeTry(lobby, "reset", email);
    lobby.background.start("password reset", (signal) => sendReset(lobby, email, signal));
  }),

  /** All sessions end. Throws AppError("gone") for a token that is used, expired or none. */
  confirmReset: entry(async (lobby, { token, newPassword }: ResetAnswer): Promise<void> => {
    const { database, passwords, clock, signal } = lobby;
    const hash = peppered(pepperOf(lobby), "reset", token);
    await takeTry(lobby, "reset", null);
    const personId = await database.lookup(
      "rest",
      ENTRY_MS,
      (sql) => passwordResetOwner(sql, hash),
    );
    const login = personId === null ? null : await loginOf(lobby, personId);
    if (login === null) throw resetGone();
    const choice = { password: newPassword, email: login.email, field: "newPassword" };
    const passwordHash = await passwords.hashNew(choice, signal);
    const who = { personId: login.id, tenantIds: login.tenantIds };
    await database.asPerson("rest", who, ENTRY_MS, async (sql) => {
      if (!await usePasswordReset(sql, login.id, { hash, at: clock.date() })) throw resetGone();
      const { primaryTenantId } = login;
      const set = { ...who, primaryTenantId, hash: passwordHash, keepsSession: null };
      await setPassword(lobby, sql, set);
    });
    lobby.personChanged(login.id);
  }),
};

async function loginOf({ database }: Lobby, personId: string) {
  const tenantIds = await database.lookup("rest", ENTRY_MS, (sql) => personTenants(sql, personId));
  const who = { personId, tenantIds };
  const login = await database.asPerson("rest", who, ENTRY_MS, (sql) => getLogin(sql, personId));
  return login && { ...login, tenantIds };
}

/** The new password, and the end of what the old one opened. */
async function setPassword(
  lobby: Lobby,
  sql: Sql,
  change: {
    readonly personId: string;
    readonly primaryTenantId: string | null;
    readonly tenantIds: readonly string[];
    readonly hash: string;
    readonly keepsSession: string | null;
  },
): Promise<void> {
  const { personId, primaryTenantId, tenantIds, hash, keepsSession } = change;
  const at = lobby.clock.date();
  await updatePassword(sql, personId, hash, at);
  await endPasswordResets(sql, personId, at);
  const end = { at, reason: "password_changed" } as const;
  const sessionsEnded = await revokeSessions(sql, personId, keepsSession, end);
  await auditPerson(lobby, sql, {
    personId,
    primaryTenantId,
    tenantIds,
    action: "password.changed",
    subjectId: personId,
    details: { sessionsEnded, isReset: keepsSession === null },
  });
}

/** Sends a mail to who has an account. */
async function sendReset(lobby: Lobby, email: string, signal: AbortSignal): Promise<void> {
  const { database, notifier, clock } = lobby;
  const personId = await database.lookup("rest", ENTRY_MS, (sql) => personByEmail(sql, email));
  if (personId === null) return;
  const token = newToken();
  const now = clock.date();
  const reset = {
    hash: peppered(pepperOf(lobby), "reset", token),
    createdAt: now,
    expiresAt: new Date(now.getTime() + RESET_MS),
  };
  await database.asPerson("rest", { personId, tenantIds: [] }, ENTRY_MS, async (sql) => {
    await deletePasswordResets(sql, personId, now);
    await insertPasswordReset(sql, personId, reset);
  });
  await notifier.send(resetMail(lobby, email, token), signal);
}

function resetMail({ publicUrl }: Lobby, to: string, token: string) {
  const text = [
    "Somebody, probably you, asked to set a new password for your Ringmaster account",
    `at ${publicUrl}. Within 30 minutes, this code does it once:`,
    "",
    token,
    "",
    "If it was not you, nothing needs to be done: your password stays as it is.",
    "",
  ].join("\n");
  return { to, subject: "Set a new password", text };
}

function resetGone(): AppError {
  return new AppError("gone", "The code is used or has expired: ask for another", {
    field: "token",
  });
}
