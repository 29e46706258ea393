/** Entries of a person who has logged in: who they are, where they are a member, and their sessions. */

import type { Sql } from "@/db/client.ts";
import { listMemberships, type Membership } from "@/db/members.ts";
import { personTenants } from "@/db/lookups.ts";
import { getPerson, type PersonRow, updatePerson } from "@/db/people.ts";
import {
  getPersonPreferences,
  type StoredPreferences,
  updatePersonPreferences,
} from "@/db/person_preferences.ts";
import { listSessions, revokeSession, revokeSessions, type Session } from "@/db/sessions.ts";
import type { Role, TenantStatus } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { merged } from "@/lib/merge.ts";
import { entry } from "./entry.ts";
import type { Lobby } from "./lobby.ts";
import { auditPerson, currentTenant, ENTRY_MS, personOf } from "./sign_in.ts";

/** What a person prefers where nothing else is said; what is absent they leave open. */
export interface Preferences {
  /** BCP 47. */
  readonly language?: string | undefined;
  /** IANA name. */
  readonly timezone?: string | undefined;
  /** The speech provider's voice id. */
  readonly voice?: string | undefined;
  /** A language model, by its provider's name. */
  readonly model?: string | undefined;
}

export interface MeView {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly isOperator: boolean;
  /** The tenant of a request that names none; null for who is a member of none. */
  readonly tenantId: string | null;
  /** The one that was chosen; null: the first one joined is it. */
  readonly primaryTenantId: string | null;
  /** Nobody else reads them. */
  readonly preferences: Preferences;
  readonly memberships: readonly {
    readonly tenantId: string;
    readonly tenantName: string;
    readonly tenantStatus: TenantStatus;
    readonly role: Role;
  }[];
}

export interface MeChange {
  readonly name?: string | undefined;
  readonly primaryTenantId?: string | undefined;
  /** Merged into what is preferred; null takes one away. */
  readonly preferences?:
    | { readonly [name in keyof Preferences]: Preferences[name] | null }
    | undefined;
}

export interface SessionView {
  readonly id: string;
  readonly userAgent: string;
  /** Where it was started from; empty when that is not known. */
  readonly address: string;
  readonly createdAt: string;
  readonly lastUsedAt: string;
  readonly expiresAt: string;
  /** It is the one that asks. */
  readonly isCurrent: boolean;
}

export const meEntries = {
  me: entry(async (lobby, _: void): Promise<MeView> => {
    const { personId } = personOf(lobby);
    const who = await whoIs(lobby, personId);
    return await lobby.database.asPerson(
      "rest",
      who,
      ENTRY_MS,
      async (sql) =>
        toView(
          found(await getPerson(sql, personId)),
          await getPersonPreferences(sql, personId),
          await listMemberships(sql, personId),
        ),
    );
  }),

  changeMe: entry(async (lobby, change: MeChange): Promise<MeView> => {
    const { personId } = personOf(lobby);
    const who = await whoIs(lobby, personId);
    if (change.primaryTenantId !== undefined && !who.tenantIds.includes(change.primaryTenantId)) {
      throw new AppError("forbidden", "Not a tenant of yours", { field: "primaryTenantId" });
    }
    const view = await lobby.database.asPerson("rest", who, ENTRY_MS, async (sql) => {
      const before = found(await getPerson(sql, personId));
      const name = change.name ?? before.name;
      const primaryTenantId = change.primaryTenantId ?? before.primaryTenantId;
      await updatePerson(sql, personId, { name, primaryTenantId });
      // Read once the person's row is locked: of two changes at once both count.
      const preferences = merged(
        await getPersonPreferences(sql, personId),
        change.preferences ?? {},
      );
      if (change.preferences !== undefined) {
        await updatePersonPreferences(sql, personId, preferences);
      }
      const person = { ...before, name, primaryTenantId };
      const note = { action: "person.changed", subjectId: personId };
      await auditPerson(lobby, sql, { ...who, ...note, primaryTenantId });
      return toView(person, preferences, await listMemberships(sql, personId));
    });
    lobby.personChanged(personId);
    return view;
  }),

  sessions: entry(async (lobby, _: void): Promise<{ readonly items: readonly SessionView[] }> => {
    const { personId, sessionId } = personOf(lobby);
    const now = lobby.clock.date();
    const who = { personId, tenantIds: [] };
    const live = await lobby.database.asPerson(
      "rest",
      who,
      ENTRY_MS,
      (sql) => listSessions(sql, personId, now),
    );
    return { items: live.map((session) => toSessionView(session, sessionId)) };
  }),

  /** Throws AppError("not_found") when no session of theirs with this id lives. */
  revokeSession: entry(async (lobby, { id }: { readonly id: string }): Promise<void> => {
    const { personId } = personOf(lobby);
    const who = await whoIs(lobby, personId);
    const end = { at: lobby.clock.date(), reason: "revoked" } as const;
    await lobby.database.asPerson("rest", who, ENTRY_MS, async (sql) => {
      const isLive = uuidOf("session", id) !== null && await revokeSession(sql, personId, id, end);
      if (!isLive) throw new AppError("not_found", "No such session");
      await auditRevoked(lobby, sql, who, { subjectId: id });
    });
    lobby.personChanged(personId);
  }),

  revokeOtherSessions: entry(async (lobby, _: void): Promise<{ readonly revoked: number }> => {
    const { personId, sessionId } = personOf(lobby);
    const who = await whoIs(lobby, personId);
    const end = { at: lobby.clock.date(), reason: "revoked" } as const;
    const revoked = await lobby.database.asPerson("rest", who, ENTRY_MS, async (sql) => {
      const count = await revokeSessions(sql, personId, sessionId, end);
      const note = { subjectId: personId, details: { count } };
      if (count > 0) await auditRevoked(lobby, sql, who, note);
      return count;
    });
    lobby.personChanged(personId);
    return { revoked };
  }),
};

interface Who {
  readonly personId: string;
  readonly tenantIds: readonly string[];
}

async function auditRevoked(
  lobby: Lobby,
  sql: Sql,
  who: Who,
  note: { readonly subjectId: string; readonly details?: Readonly<Record<string, unknown>> },
): Promise<void> {
  const { primaryTenantId } = found(await getPerson(sql, who.personId));
  await auditPerson(lobby, sql, { ...who, ...note, primaryTenantId, action: "session.revoked" });
}

async function whoIs({ database }: Lobby, personId: string): Promise<Who> {
  const tenantIds = await database.lookup("rest", ENTRY_MS, (sql) => personTenants(sql, personId));
  return { personId, tenantIds };
}

function found(person: PersonRow | null): PersonRow {
  if (person === null) throw new AppError("unauthenticated", "No such person");
  return person;
}

function toView(
  { id, email, name, isOperator, primaryTenantId }: PersonRow,
  preferences: StoredPreferences,
  memberships: readonly Membership[],
): MeView {
  const tenantIds = memberships.map(({ tenantId }) => tenantId);
  return {
    id,
    email,
    name,
    isOperator,
    tenantId: currentTenant(primaryTenantId, tenantIds),
    primaryTenantId,
    preferences, // written only from a MeChange
    memberships: memberships.map(({ memberId: _, ...membership }) => membership),
  };
}

function toSessionView(session: Session, currentId: string): SessionView {
  return {
    ...session,
    createdAt: session.createdAt.toISOString(),
    lastUsedAt: session.lastUsedAt.toISOString(),
    expiresAt: session.expiresAt.toISOString(),
    isCurrent: session.id === currentId,
  };
}
