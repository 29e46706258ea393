/** Errands on credentials of providers: sealed at rest, masked when read, tried before they are kept. */

import {
  countCredentials,
  type Credential,
  credentialPlace,
  type CredentialStatus,
  deleteCredential,
  getCredential,
  insertCredential,
  listCredentials,
  updateCredential,
  updateCredentialStatus,
} from "@/db/credentials.ts";
import {
  CREDENTIAL_IN_USE,
  type CredentialProvider,
  type CredentialValues,
  masked,
} from "@/lib/credentials.ts";
import { AppError } from "@/lib/errors.ts";
import { isProjectUrl } from "@/lib/providers/livekit/address.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { errand } from "./errand.ts";
import type { Office } from "./office.ts";

/** Of one tenant. */
export const CREDENTIALS_MAX = 50;
/** Keys and tokens are printable ASCII: the `…` of a masked one never is. */
const PLAIN = /^[\x21-\x7e]+$/;

export interface CredentialView {
  readonly id: string;
  readonly provider: CredentialProvider;
  readonly name: string;
  /** Secrets are masked, as `sk-…f3a9`. */
  readonly values: CredentialValues;
  readonly status: CredentialStatus;
  /** When the provider was last asked; null: never. */
  readonly checkedAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Its ETag. */
  readonly version: number;
}

export interface CredentialInput {
  readonly provider: CredentialProvider;
  readonly name?: string | undefined;
  readonly values: Readonly<Record<string, string | undefined>>;
  /** False: not tried at its provider first. */
  readonly check?: boolean | undefined;
}

interface Checked {
  readonly status: CredentialStatus;
  readonly checkedAt: Date | null;
}

export const credentialErrands = {
  /** Newest first; `cursor` is the id of the last one already seen. */
  credentials: errand("credentials:read", async (
    { read, tenantId },
    { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<{ items: CredentialView[]; next: string | null }> => {
    const page = cursor === undefined ? { limit } : { limit, before: cursor };
    const items = (await read((sql) => listCredentials(sql, tenantId, page))).map(toView);
    return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
  }),

  credential: errand(
    "credentials:read",
    async (office, id: string): Promise<CredentialView> => toView(await found(office, id)),
  ),

  createCredential: errand(
    "credentials:write",
    async (office, input: CredentialInput): Promise<CredentialView> => {
      const { act, vault, tenantId, clock } = office;
      const { provider, name = CREDENTIAL_IN_USE } = input;
      const id = newId("credential");
      const values = plainValues(input.values, {}, {});
      checkProject(office, provider, values);
      const sealed = await vault.seal(credentialPlace(tenantId, id), JSON.stringify(values));
      const checked = await tried(office, input, values);
      const row = { id, provider, name, sealed, masked: masked(provider, values), ...checked };
      return await act(async ({ sql, audit, changeConfig }) => {
        if (await countCredentials(sql, tenantId) >= CREDENTIALS_MAX) {
          throw new AppError("quota_exceeded", `There are ${CREDENTIALS_MAX} credentials already`);
        }
        if (!await insertCredential(sql, tenantId, row)) throw taken();
        const details = { provider, name, status: checked.status };
        await audit({ action: "credential.created", subjectId: id, details });
        await changeConfig();
        const at = clock.date();
        return toView({ ...row, version: 1, createdAt: at, updatedAt: at });
      });
    },
  ),

  /** A field whose value is its masked text keeps what is stored; one that is left out is gone. */
  replaceCredential: errand("credentials:write", async (
    office,
    input: CredentialInput & { readonly id: string; readonly expected: number | null },
  ): Promise<CredentialView> => {
    const { act, vault, tenantId, clock } = office;
    const before = await found(office, input.id);
    const { id, provider } = before;
    if (input.provider !== provider) {
      throw new AppError("conflict", "A credential keeps its provider", { field: "provider" });
    }
    if (input.expected !== null && input.expected !== before.version) throw edited();
    const place = credentialPlace(tenantId, id);
    const stored: CredentialValues = JSON.parse(await vault.open(place, before.sealed));
    const values = plainValues(input.values, before.masked, stored);
    checkProject(office, provider, values);
    const sealed = await vault.seal(place, JSON.stringify(values));
    const checked = await tried(office, input, values);
    const name = input.name ?? before.name;
    const row = { id, name, sealed, masked: masked(provider, values), ...checked };
    return await act(async ({ sql, audit, changeConfig }) => {
      const version = await updateCredential(sql, tenantId, row, before.version).catch(asTaken);
      if (version === null) throw edited();
      const changed = Object.keys({ ...stored, ...values })
        .filter((field) => stored[field] !== values[field]);
      const details = { provider, name, changed, status: checked.status };
      await audit({ action: "credential.replaced", subjectId: id, details });
      await changeConfig();
      return toView({ ...before, ...row, version, updatedAt: clock.date() });
    });
  }),

  deleteCredential: errand("credentials:write", async (office, id: string): Promise<null> => {
    const { act, tenantId } = office;
    const { provider, name } = await found(office, id);
    await act(async ({ sql, audit, changeConfig }) => {
      if (!await deleteCredential(sql, tenantId, id)) throw noCredential();
      await audit({ action: "credential.deleted", subjectId: id, details: { provider, name } });
      await changeConfig();
    });
    return null;
  }),

  /** Asks the provider about the stored values. Fails with provider_failed when it does not say. */
  checkCredential: errand(
    "credentials:write",
    async (office, id: string): Promise<CredentialView> => {
      const { act, vault, tenantId, clock, signal } = office;
      const credential = await found(office, id);
      const { provider, version } = credential;
      const place = credentialPlace(tenantId, id);
      const values = JSON.parse(await vault.open(place, credential.sealed));
      const verdict = await office.askProvider(provider, values, signal);
      if (verdict.type === "unreachable") {
        throw new AppError("provider_failed", `Provider "${provider}" did not answer`, {
          retryable: true,
        });
      }
      const checked = { status: verdict.type, checkedAt: clock.date() };
      return await act(async ({ sql, audit }) => {
        if (!await updateCredentialStatus(sql, tenantId, { id, version, ...checked })) {
          throw edited();
        }
        const details = { provider, status: verdict.type };
        await audit({ action: "credential.checked", subjectId: id, details });
        return toView({ ...credential, ...checked });
      });
    },
  ),
};

/** What is to be stored: masked values become what is stored, and no other text may look like one. */
function plainValues(
  given: Readonly<Record<string, string | undefined>>,
  mask: CredentialValues,
  stored: CredentialValues,
): CredentialValues {
  const values: Record<string, string> = {};
  for (const [field, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const kept = value === mask[field] ? stored[field] : undefined;
    values[field] = kept ?? value;
    if (PLAIN.test(values[field])) continue;
    const message = `Wrong input in "values.${field}": only printable ASCII, and no masked value ` +
      "but the one that was read";
    throw new AppError("invalid", message, { field: `values.${field}` });
  }
  return values;
}

/** Throws AppError("invalid") for a LiveKit project at an address that nobody allows. */
function checkProject(
  { outboundAllow }: Office,
  provider: CredentialProvider,
  { url = "" }: CredentialValues,
): void {
  if (provider !== "livekit" || isProjectUrl(url, outboundAllow)) return;
  const field = "values.url";
  const message = `Wrong input in "${field}": not wss://….livekit.cloud, and not of OUTBOUND_ALLOW`;
  throw new AppError("invalid", message, { field });
}

/** A credential that its provider refuses is not kept: `invalid` names the field. */
async function tried(
  { askProvider, clock, signal }: Office,
  { provider, check = true }: Pick<CredentialInput, "provider" | "check">,
  values: CredentialValues,
): Promise<Checked> {
  if (!check) return { status: "unchecked", checkedAt: null };
  const verdict = await askProvider(provider, values, signal);
  switch (verdict.type) {
    case "valid":
      return { status: "valid", checkedAt: clock.date() };
    case "unreachable":
      return { status: "unchecked", checkedAt: null };
    case "refused": {
      const field = `values.${verdict.field}`;
      throw new AppError("invalid", `Wrong input in "${field}": ${provider} refuses it`, { field });
    }
  }
}

async function found({ read, tenantId }: Office, id: string): Promise<Credential> {
  if (uuidOf("credential", id) === null) throw noCredential();
  const credential = await read((sql) => getCredential(sql, tenantId, id));
  if (credential === null) throw noCredential();
  return credential;
}

function noCredential(): AppError {
  return new AppError("not_found", "No such credential");
}

function edited(): AppError {
  return new AppError("edit_conflict", "The credential was changed since", { field: "If-Match" });
}

function taken(): AppError {
  return new AppError("conflict", "There is one of this provider and name", { field: "name" });
}

/** PostgreSQL's unique_violation: another one of the provider has the new name. */
function asTaken(error: unknown): never {
  throw error instanceof Error && "code" in error && error.code === "23505" ? taken() : error;
}

function toView(credential: Credential): CredentialView {
  const { id, provider, name, masked: values, status, checkedAt, version } = credential;
  return {
    id,
    provider,
    name,
    values,
    status,
    checkedAt: checkedAt?.toISOString() ?? null,
    createdAt: credential.createdAt.toISOString(),
    updatedAt: credential.updatedAt.toISOString(),
    version,
  };
}
