/** Who is this? From an API key, an access token or an operator's visit to a principal, a second old at most. */

import { createHash } from "node:crypto";
import type { Database, Sql } from "@/db/client.ts";
import { apiKeyOwner, operatorVisitOwner, personTenants } from "@/db/lookups.ts";
import {
  getKeyStanding,
  getMemberStanding,
  getPersonStanding,
  getVisitStanding,
  type PersonStanding,
  type TenantStanding,
} from "@/db/standings.ts";
import { isServed, type Principal, SCOPES_OF, type SignedIn, VISIT_SCOPES } from "@/lib/access.ts";
import type { AccessTokens } from "@/lib/access_tokens.ts";
import { isKeyLike, keyHash, readKey } from "@/lib/api_keys.ts";
import type { Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { isSameHash } from "@/lib/pepper.ts";
import type { Secret } from "@/lib/secret.ts";
import type { Shown } from "./gate.ts";
import { type Answer, newRecent } from "./recent.ts";

/** No change of a key, a role or a tenant is overlooked for longer (B9). */
export const MAX_AGE_MS = 1_000;
/** Answers held at once, of about 500 bytes. */
const HELD_MAX = 10_000;
/** Under the 1.5 s that a request waits for its principal. */
const LOOKUP_MS = 1_000;
/** A key's last use is kept to the minute. */
const USED_EVERY_MS = 60_000;

/** Where an unknown key is looked for, so that it takes as long as a wrong one: there is no such row. */
const NOBODY = {
  tenantId: "tenant_00000000-0000-7000-8000-000000000000",
  keyId: "key_00000000-0000-7000-8000-000000000000",
  visitId: "visit_00000000-0000-7000-8000-000000000000",
} as const;
const NO_HASH = new Uint8Array(32);

/** A key that was used just now. */
export interface KeyUse {
  readonly tenantId: string;
  readonly keyId: string;
  readonly at: Date;
}

export interface AuthenticatorDeps {
  readonly database: Database;
  readonly clock: Clock;
  /** Null: keys are not configured. */
  readonly pepper: Secret | null;
  readonly tokens: Pick<AccessTokens, "verify">;
  /** Told when a key's last use should be written again. */
  keyUsed(use: KeyUse): void;
}

export interface Authenticator {
  /** What is known without a look-up, or the look-up that is on its way; null: neither. */
  known(shown: Shown): Principal | Promise<Principal> | null;
  /** Throws AppError: unauthenticated, forbidden or tenant_suspended. */
  principal(shown: Shown): Principal | Promise<Principal>;
  /** The person behind an access token, whatever tenants they are in. Throws unauthenticated. */
  person(token: string): Promise<SignedIn>;
  /** What is known of this tenant is stale. */
  forget(tenantId: string): void;
  /** What is known of this person is stale. */
  forgetPerson(personId: string): void;
}

export function newAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { database, clock, tokens } = deps;
  const principals = newRecent<Principal>({ clock, maxAgeMs: MAX_AGE_MS, max: HELD_MAX });
  const people = newRecent<SignedIn>({ clock, maxAgeMs: MAX_AGE_MS, max: HELD_MAX });

  function ofTenant<T>(tenantId: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    return database.asTenant("rest", tenantId, LOOKUP_MS, work);
  }

  function isPast(at: Date | null): boolean {
    return at !== null && at.getTime() <= clock.date().getTime();
  }

  /** The hash of what is shown; null when it is no key at all. */
  function keyOf(token: string) {
    const read = readKey(token);
    if (read === null) return null;
    if (deps.pepper === null) {
      throw new AppError("not_configured", "Keys need TOKEN_PEPPER", { field: "TOKEN_PEPPER" });
    }
    return { ...read, hash: keyHash(deps.pepper, token) };
  }

  async function byKey({ token, tenantId }: Shown): Promise<Answer<Principal>> {
    const key = keyOf(token);
    if (key === null) throw nobody();
    if (key.kind === "oper") return await byVisit(key, tenantId);
    const owner = await database.lookup(
      "rest",
      LOOKUP_MS,
      (sql) => apiKeyOwner(sql, key.publicId),
    );
    const { tenantId: of, keyId } = owner ?? NOBODY;
    const standing = await ofTenant(of, (sql) => getKeyStanding(sql, of, keyId));
    const isRight = isSameHash(key.hash, standing?.hash ?? NO_HASH);
    if (standing === null || !isRight) throw nobody();
    if (standing.revokedAt !== null || isPast(standing.expiresAt)) throw nobody();
    admit(standing, tenantId);
    const at = clock.date();
    const usedMs = standing.lastUsedAt?.getTime() ?? -Infinity;
    if (at.getTime() - usedMs >= USED_EVERY_MS) deps.keyUsed({ tenantId: of, keyId, at });
    return {
      value: {
        kind: "key",
        id: keyId,
        tenantId: of,
        role: null,
        scopes: new Set(standing.scopes),
        sessionId: null,
        configVersion: standing.configVersion,
      },
      untilMs: standing.expiresAt?.getTime() ?? null,
    };
  }

  /** A tenant that is suspended may be visited: to find out why, and what to do. */
  async function byVisit(
    key: { readonly publicId: string; readonly hash: Uint8Array },
    wanted: string | null,
  ): Promise<Answer<Principal>> {
    const owner = await database.lookup(
      "rest",
      LOOKUP_MS,
      (sql) => operatorVisitOwner(sql, key.publicId),
    );
    const { tenantId, visitId } = owner ?? NOBODY;
    const standing = await ofTenant(tenantId, (sql) => getVisitStanding(sql, tenantId, visitId));
    const isRight = isSameHash(key.hash, standing?.hash ?? NO_HASH);
    if (standing === null || !isRight) throw nobody();
    if (standing.endedAt !== null || isPast(standing.expiresAt)) throw nobody();
    if (wanted !== null && wanted !== tenantId) throw foreign();
    const { operator: id, role, configVersion } = standing;
    return {
      value: {
        kind: "operator",
        id,
        tenantId,
        role,
        scopes: new Set(SCOPES_OF[role].filter((scope) => VISIT_SCOPES.has(scope))),
        sessionId: null,
        configVersion,
      },
      untilMs: standing.expiresAt.getTime(),
    };
  }

  async function byToken({ token, tenantId: wanted }: Shown): Promise<Answer<Principal>> {
    const who = await tokens.verify(token);
    const { personId, sessionId } = who;
    const all = await database.lookup("rest", LOOKUP_MS, (sql) => personTenants(sql, personId));
    const isTheirs = wanted === null || all.includes(wanted);
    const tenantIds = wanted === null ? all : isTheirs ? [wanted] : [];
    const [standing, member] = await database.asPerson(
      "rest",
      { personId, tenantIds },
      LOOKUP_MS,
      async (sql) => [
        await getPersonStanding(sql, who),
        isTheirs ? await getMemberStanding(sql, personId, wanted) : null,
      ],
    );
    const untilMs = isSignedIn(standing);
    if (member === null) throw foreign();
    admit(member, null);
    return {
      value: {
        kind: "user",
        id: personId,
        tenantId: member.tenantId,
        role: member.role,
        scopes: new Set(SCOPES_OF[member.role]),
        sessionId,
        configVersion: member.configVersion,
      },
      untilMs,
    };
  }

  async function personBy(token: string): Promise<Answer<SignedIn>> {
    if (isKeyLike(token)) throw nobody();
    const { personId, sessionId } = await tokens.verify(token);
    const who = { personId, sessionId };
    const standing = await database.asPerson(
      "rest",
      { personId, tenantIds: [] },
      LOOKUP_MS,
      (sql) => getPersonStanding(sql, who),
    );
    return { value: who, untilMs: isSignedIn(standing) };
  }

  /** When the session ends. */
  function isSignedIn(standing: PersonStanding | null): number {
    if (standing === null || standing.disabledAt !== null) throw nobody();
    if (standing.sessionRevokedAt !== null || isPast(standing.sessionExpiresAt)) throw nobody();
    return standing.sessionExpiresAt.getTime();
  }

  return {
    known: (shown) => principals.get(nameOf(shown)),
    principal: (shown) =>
      principals.ask(nameOf(shown), () => isKeyLike(shown.token) ? byKey(shown) : byToken(shown)),
    person: async (token) =>
      await people.ask(nameOf({ token, tenantId: null }), () => personBy(token)),
    forget(tenantId) {
      principals.drop((held) => held.tenantId === tenantId);
    },
    forgetPerson(personId) {
      principals.drop((held) => held.id === personId);
      people.drop((held) => held.personId === personId);
    },
  };
}

/** What an answer is held by: never the credential itself. */
function nameOf({ token, tenantId }: Shown): string {
  const shown = tenantId === null ? token : `${token}\0${tenantId}`;
  return createHash("sha256").update(shown).digest("base64");
}

/** Throws where the tenant is another than the one that was asked for, or is not served. */
function admit({ tenantId, status }: TenantStanding, wanted: string | null): void {
  if (wanted !== null && wanted !== tenantId) throw foreign();
  if (!isServed(status)) {
    throw new AppError("tenant_suspended", `The tenant's access is off: it is ${status}`);
  }
}

function nobody(): AppError {
  return new AppError("unauthenticated", "No valid bearer token", { field: "Authorization" });
}

/** The same for a tenant that there is not. */
function foreign(): AppError {
  return new AppError("forbidden", "Not a member of this tenant", { field: "X-Tenant-ID" });
}
