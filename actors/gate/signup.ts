/** The entry of who signs up: with a new tenant, or invited into one. */

import { insertMember } from "@/db/members.ts";
import { insertPassword, insertPerson } from "@/db/people.ts";
import { insertTenant } from "@/db/tenants.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { checkNewPassword } from "@/lib/passwords.ts";
import { entry } from "./entry.ts";
import type { Lobby } from "./lobby.ts";
import {
  auditPerson,
  ENTRY_MS,
  newSession,
  pepperOf,
  takeTry,
  type TokensView,
} from "./sign_in.ts";

export interface Signup {
  /** In lower case. */
  readonly email: string;
  readonly password: string;
  readonly name: string;
  /** Of the tenant to be made. */
  readonly tenantName: string;
}

export const signupEntries = {
  signUp: entry(async (lobby, signup: Signup): Promise<TokensView> => {
    pepperOf(lobby);
    await takeTry(lobby, "signup", signup.email);
    if (lobby.auth.signup === "invited") {
      throw new AppError("forbidden", "Signing up takes an invitation");
    }
    checkNewPassword(signup.password, signup.email, "password");
    return await foundTenant(lobby, signup);
  }),
};

/** A new tenant with its owner. Throws AppError("conflict") when the address is taken. */
async function foundTenant(lobby: Lobby, signup: Signup): Promise<TokensView> {
  const { database, passwords, signal } = lobby;
  const { email, name, tenantName } = signup;
  const [personId, tenantId] = [newId("person"), newId("tenant")];
  const hash = await passwords.hash(signup.password, signal);
  const session = await newSession(lobby, { personId, tenantId });
  const who = { personId, tenantIds: [tenantId] };
  await database.asPerson("rest", who, ENTRY_MS, async (sql) => {
    await insertTenant(sql, { id: tenantId, name: tenantName });
    if (!await insertPerson(sql, { id: personId, email, name, primaryTenantId: tenantId })) {
      throw new AppError("conflict", "Somebody has signed up with this address", {
        field: "email",
      });
    }
    await insertPassword(sql, personId, hash);
    await insertMember(sql, tenantId, { id: newId("member"), personId, role: "owner" });
    await session.write(sql);
    const note = { action: "tenant.created", subjectId: tenantId };
    await auditPerson(lobby, sql, { ...who, primaryTenantId: tenantId, ...note });
  });
  return session.view;
}
