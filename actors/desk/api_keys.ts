/** Errands on API keys: making one, giving it a successor, and ending it. */

import {
  type ApiKey,
  countApiKeys,
  getApiKey,
  insertApiKey,
  listApiKeys,
  updateApiKeyExpiry,
  updateApiKeyName,
  updateApiKeyRevoked,
} from "@/db/api_keys.ts";
import type { Sql } from "@/db/client.ts";
import type { Principal, Scope } from "@/lib/access.ts";
import { keyHash, newKey, readKey } from "@/lib/api_keys.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import { errand } from "./errand.ts";
import type { Office } from "./office.ts";

/** Keys of a tenant that are neither revoked nor expired. */
export const LIVE_KEYS_MAX = 200;
/** After a rotation the old key is good for as long as its user needs to put the new one in its place. */
export const OVERLAP_S = 24 * 3_600;
export const OVERLAP_S_MAX = 7 * OVERLAP_S;

export interface ApiKeyView {
  readonly id: string;
  readonly name: string;
  /** How it begins: enough to tell it from others. */
  readonly start: string;
  readonly scopes: Scope[];
  readonly status: "active" | "expired" | "revoked";
  /** A prefixed id. */
  readonly createdBy: string;
  readonly createdAt: string;
  /** Null: never. */
  readonly expiresAt: string | null;
  /** To the minute; null: never so far. */
  readonly lastUsedAt: string | null;
  readonly revokedAt: string | null;
}

/** `key` is the whole key: it is never shown again. */
export interface NewKeyView extends ApiKeyView {
  readonly key: string;
}

export interface NewKeyInput {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** ISO 8601, in the future; null: it never expires. */
  readonly expiresAt?: string | null | undefined;
}

interface Rotation {
  readonly keyId: string;
  /** Seconds that the old key stays good for, if it does not expire sooner. */
  readonly overlapS: number;
}

export const apiKeyErrands = {
  apiKeys: errand("keys:read", async (
    { read, tenantId, clock },
    { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<{ items: ApiKeyView[]; next: string | null }> => {
    const page = cursor === undefined ? { limit } : { limit, before: cursor };
    const keys = await read((sql) => listApiKeys(sql, tenantId, page));
    const items = keys.map((key) => toView(key, clock.date()));
    return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
  }),

  apiKey: errand(
    "keys:read",
    async ({ read, tenantId, clock }, keyId: string): Promise<ApiKeyView> =>
      toView(await read((sql) => found(sql, tenantId, keyId)), clock.date()),
  ),

  createApiKey: errand("keys:write", async (
    office,
    { name, scopes, expiresAt = null }: NewKeyInput,
  ): Promise<NewKeyView> => {
    const { act, by, clock } = office;
    const at = clock.date();
    const expires = expiresAt === null ? null : new Date(expiresAt);
    if (expires !== null && expires <= at) {
      throw new AppError("invalid", 'Wrong input in "expiresAt": must be in the future', {
        field: "expiresAt",
      });
    }
    mayHold(by, scopes);
    const { key, row } = made(office, { name, scopes, expiresAt: expires, at });
    return await act(async ({ sql, audit, changeConfig }) => {
      await changeConfig(); // first: it makes acts of one tenant wait for each other, so the count holds
      await insert(sql, office.tenantId, row);
      const details = { name, scopes, expiresAt };
      await audit({ action: "key.created", subjectId: row.id, details });
      return { ...toView(row, at), key };
    });
  }),

  renameApiKey: errand(
    "keys:write",
    async (
      { act, tenantId, clock },
      { keyId, name }: { readonly keyId: string; readonly name: string },
    ): Promise<ApiKeyView> =>
      await act(async ({ sql, audit }) => {
        const key = await found(sql, tenantId, keyId);
        await updateApiKeyName(sql, tenantId, keyId, name);
        const details = { name, before: key.name };
        await audit({ action: "key.renamed", subjectId: keyId, details });
        return toView({ ...key, name }, clock.date());
      }),
  ),

  /** Who gets the successor gets its scopes: they must have them all. */
  rotateApiKey: errand("keys:write", async (
    office,
    { keyId, overlapS }: Rotation,
  ): Promise<NewKeyView> => {
    const { act, by, clock, tenantId } = office;
    const at = clock.date();
    const old = await office.read((sql) => found(sql, tenantId, keyId));
    mayHold(by, old.scopes);
    const { name, scopes, expiresAt } = old;
    const { key, row } = made(office, { name, scopes, expiresAt, at });
    return await act(async ({ sql, audit, changeConfig }) => {
      await changeConfig();
      const until = new Date(at.getTime() + overlapS * 1_000);
      if (!await updateApiKeyExpiry(sql, tenantId, keyId, { at, until })) {
        throw new AppError("conflict", "The key has ended: make a new one");
      }
      await insert(sql, tenantId, row);
      const details = { successor: row.id, until: until.toISOString() };
      await audit({ action: "key.rotated", subjectId: keyId, details });
      return { ...toView(row, at), key };
    });
  }),

  /** At once, and again without complaint. */
  revokeApiKey: errand("keys:write", async (
    { act, tenantId, clock },
    keyId: string,
  ): Promise<void> =>
    await act(async ({ sql, audit, changeConfig }) => {
      await found(sql, tenantId, keyId);
      if (!await updateApiKeyRevoked(sql, tenantId, keyId, clock.date())) return;
      await audit({ action: "key.revoked", subjectId: keyId });
      await changeConfig();
    })),
};

/** Throws AppError("forbidden"): nobody hands on more than they have. */
function mayHold(by: Principal, scopes: readonly Scope[]): void {
  const missing = scopes.find((scope) => !by.scopes.has(scope));
  if (missing === undefined) return;
  throw new AppError("forbidden", `A key cannot have "${missing}": you do not have it`, {
    field: "scopes",
  });
}

function made(
  { pepper, by }: Office,
  { at, ...key }: Pick<ApiKey, "name" | "scopes" | "expiresAt"> & { readonly at: Date },
) {
  if (pepper === null) {
    throw new AppError("not_configured", "Keys need TOKEN_PEPPER", { field: "TOKEN_PEPPER" });
  }
  const whole = newKey("live");
  const publicId = readKey(whole)?.publicId ?? "";
  const row = {
    ...key,
    id: newId("key"),
    publicId,
    hash: keyHash(pepper, whole),
    createdBy: by.id,
    createdAt: at,
    lastUsedAt: null,
    revokedAt: null,
  };
  return { key: whole, row };
}

async function insert(
  sql: Sql,
  tenantId: string,
  row: ReturnType<typeof made>["row"],
): Promise<void> {
  if (await countApiKeys(sql, tenantId, row.createdAt) >= LIVE_KEYS_MAX) {
    throw new AppError("quota_exceeded", `There are ${LIVE_KEYS_MAX} live keys: revoke one`);
  }
  if (!await insertApiKey(sql, tenantId, row)) throw new Error("Two keys have one public id");
}

async function found(sql: Sql, tenantId: string, keyId: string): Promise<ApiKey> {
  const key = await getApiKey(sql, tenantId, keyId);
  if (key === null) throw new AppError("not_found", "No such key");
  return key;
}

function toView(key: ApiKey, now: Date): ApiKeyView {
  const isExpired = key.expiresAt !== null && key.expiresAt <= now;
  return {
    id: key.id,
    name: key.name,
    start: `rm_live_${key.publicId}`,
    scopes: [...key.scopes],
    status: key.revokedAt !== null ? "revoked" : isExpired ? "expired" : "active",
    createdBy: key.createdBy,
    createdAt: key.createdAt.toISOString(),
    expiresAt: key.expiresAt?.toISOString() ?? null,
    lastUsedAt: key.lastUsedAt?.toISOString() ?? null,
    revokedAt: key.revokedAt?.toISOString() ?? null,
  };
}
