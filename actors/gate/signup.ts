/** The entry of who signs up: with a new tenant, or invited into one. */

import type { Sql } from "@/db/client.ts";
import { getInvitation, updateInvitationAccepted } from "@/db/invitations.ts";
import { invitationOwner, personByEmail } from "@/db/lookups.ts";
import { insertMember } from "@/db/members.ts";
import { insertPassword, insertPerson } from "@/db/people.ts";
import { bumpConfigVersion, insertTenant } from "@/db/tenants.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { peppered } from "@/lib/pepper.ts";
import { entry } from "./entry.ts";
import type { Lobby } from "./lobby.ts";
import { checkPassword } from "./login.ts";
import {
  auditPerson,
  ENTRY_MS,
  newSession,
  pepperOf,
  takeTry,
  type TokensView,
} from "./sign_in.ts";

/** One of `tenantName`, of a tenant to be made, and `invitationToken`, into one that is there. */
export interface Signup {
  /** In lower case. */
  readonly email: string;
  /** Of somebody who has an account already: theirs. */
  readonly password: string;
  readonly name: string;
  readonly tenantName?: string | undefined;
  readonly invitationToken?: string | undefined;
}

/** A pending invitation of this very address. */
interface Invited {
  readonly tenantId: string;
  readonly invitationId: string;
  readonly tokenHash: Uint8Array;
}

export const signupEntries = {
  signUp: entry(async (lobby, signup: Signup): Promise<TokensView> => {
    pepperOf(lobby);
    await takeTry(lobby, "signup", signup.email);
    const { tenantName, invitationToken } = signup;
    if (invitationToken !== undefined) return await accept(lobby, signup, invitationToken);
    if (tenantName === undefined) throw new Error("Neither a tenant nor an invitation");
    if (lobby.auth.signup === "invited") {
      throw new AppError("forbidden", "Signing up takes an invitation");
    }
    return await foundTenant(lobby, signup, tenantName);
  }),
};

/** A new tenant with its owner. Throws AppError("conflict") when the address is taken. */
async function foundTenant(lobby: Lobby, signup: Signup, name: string): Promise<TokensView> {
  const tenantId = newId("tenant");
  return await newPerson(lobby, signup, tenantId, {
    async prepare(sql) {
      await insertTenant(sql, { id: tenantId, name });
    },
    async enroll(sql, personId) {
      await insertMember(sql, tenantId, { id: newId("member"), personId, role: "owner" });
      const note = { action: "tenant.created", subjectId: tenantId };
      const who = { personId, primaryTenantId: tenantId, tenantIds: [tenantId] };
      await auditPerson(lobby, sql, { ...who, ...note });
    },
  });
}

/** Into the tenant of the invitation: somebody new, or somebody who has an account and its password. */
async function accept(lobby: Lobby, signup: Signup, token: string): Promise<TokensView> {
  const { database } = lobby;
  const invited = await findInvitation(lobby, signup.email, token);
  const { tenantId } = invited;
  const known = await database.lookup("rest", ENTRY_MS, (sql) => personByEmail(sql, signup.email));
  if (known === null) {
    return await newPerson(lobby, signup, tenantId, {
      enroll: (sql, personId) => join(lobby, sql, { ...invited, personId, email: signup.email }),
    });
  }
  await takeTry(lobby, "login", signup.email);
  const { personId, tenantIds } = await checkPassword(lobby, signup);
  const session = await newSession(lobby, { personId, tenantId });
  const who = { personId, tenantIds: [...tenantIds, tenantId] };
  await database.asPerson("rest", who, ENTRY_MS, async (sql) => {
    await join(lobby, sql, { ...invited, personId, email: signup.email });
    await session.write(sql);
  });
  lobby.configChanged(tenantId);
  return session.view;
}

/** A person whose primary tenant this is, with a session; `prepare` makes what their row refers to. */
async function newPerson(
  lobby: Lobby,
  { email, password, name }: Signup,
  tenantId: string,
  steps: {
    readonly prepare?: (sql: Sql) => Promise<void>;
    readonly enroll: (sql: Sql, personId: string) => Promise<void>;
  },
): Promise<TokensView> {
  const { database, passwords, signal } = lobby;
  const personId = newId("person");
  const hash = await passwords.hashNew({ password, email, field: "password" }, signal);
  const session = await newSession(lobby, { personId, tenantId });
  const who = { personId, tenantIds: [tenantId] };
  await database.asPerson("rest", who, ENTRY_MS, async (sql) => {
    await steps.prepare?.(sql);
    if (!await insertPerson(sql, { id: personId, email, name, primaryTenantId: tenantId })) {
      const field = "email";
      throw new AppError("conflict", "Somebody has signed up with this address", { field });
    }
    await insertPassword(sql, personId, hash);
    await steps.enroll(sql, personId);
    await session.write(sql);
  });
  lobby.configChanged(tenantId);
  return session.view;
}

/** Throws AppError("gone"), and "forbidden" for who has somebody else's. */
async function findInvitation(lobby: Lobby, email: string, token: string): Promise<Invited> {
  const { database, clock } = lobby;
  const tokenHash = peppered(pepperOf(lobby), "invitation", token);
  const owner = await database.lookup("rest", ENTRY_MS, (sql) => invitationOwner(sql, tokenHash));
  if (owner === null) throw invitationGone();
  const { tenantId, invitationId } = owner;
  const invitation = await database.asTenant(
    "rest",
    tenantId,
    ENTRY_MS,
    (sql) => getInvitation(sql, tenantId, invitationId),
  );
  if (invitation === null) throw invitationGone();
  const isPending = invitation.acceptedAt === null && invitation.revokedAt === null;
  if (!isPending || invitation.expiresAt <= clock.date()) throw invitationGone();
  if (invitation.email !== email) {
    throw new AppError("forbidden", "The invitation is for another address", { field: "email" });
  }
  return { ...owner, tokenHash };
}

/** Uses the invitation up. Throws AppError("gone" | "conflict"). */
async function join(
  lobby: Lobby,
  sql: Sql,
  joining: Invited & { readonly personId: string; readonly email: string },
): Promise<void> {
  const { tenantId, invitationId, tokenHash, personId, email } = joining;
  const at = lobby.clock.date();
  const accepted = { tokenHash, email, at };
  const role = await updateInvitationAccepted(sql, tenantId, invitationId, accepted);
  if (role === null) throw invitationGone();
  if (!await insertMember(sql, tenantId, { id: newId("member"), personId, role })) {
    throw new AppError("conflict", "You are a member of this tenant");
  }
  await bumpConfigVersion(sql, tenantId);
  const who = { personId, primaryTenantId: tenantId, tenantIds: [tenantId] };
  const note = { action: "member.joined", subjectId: personId, details: { invitationId, role } };
  await auditPerson(lobby, sql, { ...who, ...note });
}

/** Also for a token that was never one: who sends another takes the one before away. */
function invitationGone(): AppError {
  return new AppError("gone", "The invitation is used, revoked or has expired", {
    field: "invitationToken",
  });
}
