/** What signing in is made of: who may try how often, and the tokens of a session. */

import type { Services } from "@/actors/desk/office.ts";
import { insertAuditEntry } from "@/db/audit.ts";
import type { Sql } from "@/db/client.ts";
import { insertRefreshToken, type NewRefreshToken } from "@/db/refresh_tokens.ts";
import { insertSession } from "@/db/sessions.ts";
import type { SignedIn } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { newId, newToken } from "@/lib/ids.ts";
import type { Bucket } from "@/lib/limits/limiter.ts";
import { peppered } from "@/lib/pepper.ts";
import type { Secret } from "@/lib/secret.ts";
import type { Lobby } from "./lobby.ts";

export const ENTRY_MS = 10_000;

/** A session ends when it was not used for so long, and after so long in any case. */
export const SLIDING_MS = 30 * 86_400_000;
export const ABSOLUTE_MS = 90 * 86_400_000;

const SALT_BYTES = 16;

export interface TokensView {
  readonly accessToken: string;
  readonly tokenType: "Bearer";
  /** Seconds. */
  readonly expiresIn: number;
  /** Good for one use: its answer has the next one. */
  readonly refreshToken: string;
  /** Seconds, unless it is used. */
  readonly refreshExpiresIn: number;
  /** The primary tenant; null for who is a member of none. */
  readonly tenantId: string | null;
}

/** Throws AppError("not_configured") naming what is missing. */
export function pepperOf({ pepper, auth }: Pick<Services, "pepper" | "auth">): Secret {
  if (pepper !== null && auth.missing === null) return pepper;
  const field = auth.missing ?? "TOKEN_PEPPER";
  throw new AppError("not_configured", `Logins are not configured: ${field} is missing`, { field });
}

/** So many tries at a time, and then one in so many seconds. Strict: they guard passwords. */
function tries(name: string, capacity: number, secondsEach: number): Bucket {
  return { name, capacity, perSecond: 1 / secondsEach, isStrict: true };
}

/** By account: slow enough that guessing is hopeless. By address: an office shares one. */
export const TRIES = {
  login: { account: tries("login-account", 10, 30), address: tries("login-address", 60, 2) },
  signup: { account: tries("signup-account", 10, 30), address: tries("signup-address", 60, 10) },
  reset: { account: tries("reset-account", 3, 600), address: tries("reset-address", 20, 30) },
} as const;

/**
 * Takes one try of the address that it comes from and one of the account, whether there is such an
 * account or not. Throws AppError("rate_limited").
 */
export async function takeTry(
  lobby: Lobby,
  kind: keyof typeof TRIES,
  account: string | null,
): Promise<void> {
  const { limiter, request } = lobby;
  const hash = account && peppered(pepperOf(lobby), "throttle", account).toHex();
  const { account: byAccount, address: byAddress } = TRIES[kind];
  const verdicts = await Promise.all([
    limiter.take(byAddress, request.address ?? "unknown"),
    ...(hash === null ? [] : [limiter.take(byAccount, hash)]),
  ]);
  const refused = verdicts.filter((verdict) => !verdict.isAllowed);
  if (refused.length === 0) return;
  const retryAfterS = Math.max(...refused.map((verdict) => verdict.retryAfterS));
  throw new AppError("rate_limited", "Too many tries", { retryable: true, retryAfterS });
}

/** The session that a login starts: its tokens, and what is to be written before they are given. */
export async function newSession(
  lobby: Lobby,
  { personId, tenantId }: { readonly personId: string; readonly tenantId: string | null },
): Promise<{ readonly view: TokensView; write(sql: Sql): Promise<void> }> {
  const { tokens, clock, userAgent, request } = lobby;
  const pepper = pepperOf(lobby);
  const sessionId = newId("session");
  const refreshToken = newToken();
  const access = await tokens.issue({ personId, sessionId });
  const now = clock.date();
  const expiresAt = new Date(now.getTime() + SLIDING_MS);
  return {
    view: viewOf(access, { refreshToken, expiresAt, now, tenantId }),
    async write(sql) {
      const times = { createdAt: now, lastUsedAt: now, expiresAt };
      const address = request.address ?? "";
      await insertSession(sql, personId, { id: sessionId, userAgent, address, ...times });
      const token = newRefreshToken(pepper, refreshToken, now);
      await insertRefreshToken(sql, personId, sessionId, token);
    },
  };
}

export function viewOf(
  access: { readonly token: string; readonly expiresInS: number },
  refresh: {
    readonly refreshToken: string;
    readonly expiresAt: Date;
    readonly now: Date;
    readonly tenantId: string | null;
  },
): TokensView {
  const { refreshToken, expiresAt, now, tenantId } = refresh;
  return {
    accessToken: access.token,
    tokenType: "Bearer",
    expiresIn: access.expiresInS,
    refreshToken,
    refreshExpiresIn: Math.floor((expiresAt.getTime() - now.getTime()) / 1_000),
    tenantId,
  };
}

export function newRefreshToken(pepper: Secret, token: string, issuedAt: Date): NewRefreshToken {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  return { hash: refreshHash(pepper, token), salt, issuedAt };
}

export function refreshHash(pepper: Secret, token: string): Uint8Array<ArrayBuffer> {
  return peppered(pepper, "refresh", token);
}

/** The primary tenant while the person is still in it, else the first one that they joined. */
export function currentTenant(primary: string | null, tenantIds: readonly string[]): string | null {
  return primary !== null && tenantIds.includes(primary) ? primary : tenantIds[0] ?? null;
}

/** What a person did to how they log in, where their tenant can see it. Nothing for who is in none. */
export async function auditPerson(
  lobby: Lobby,
  sql: Sql,
  note: {
    readonly personId: string;
    readonly primaryTenantId: string | null;
    readonly tenantIds: readonly string[];
    readonly action: string;
    readonly subjectId: string;
    readonly details?: Readonly<Record<string, unknown>>;
  },
): Promise<void> {
  const { clock, request } = lobby;
  const { personId, action, subjectId, details = {} } = note;
  const tenantId = currentTenant(note.primaryTenantId, note.tenantIds);
  if (tenantId === null) return;
  await insertAuditEntry(sql, tenantId, {
    id: newId("audit"),
    at: clock.date(),
    actorKind: "user",
    actorId: personId,
    action,
    subjectId,
    details,
    requestId: request.requestId,
    address: request.address,
  });
}

/** Whoever asks must be a person who has logged in. */
export function personOf({ person }: Lobby): SignedIn {
  if (person === null) throw new Error("This entry is asked for behind signedIn only");
  return person;
}
