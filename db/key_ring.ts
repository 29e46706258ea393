/** The house's key-encryption keys: they wrap the tenants' data keys, and seal what is the house's own. */

import type { KeyEncryptionKey } from "@/lib/config.ts";
import { importKey, seal, unseal } from "@/lib/envelope.ts";
import { AppError } from "@/lib/errors.ts";
import type { TenantKey } from "./tenant_keys.ts";

const DATA_KEY_BYTES = 32;

/** Throws AppError("not_configured") naming the setting where the key that is needed is not there. */
export interface KeyRing {
  /** The name of the key that wraps and seals. */
  first(): string;
  /** A fresh data key, wrapped by the first key. */
  newDataKey(tenantId: string, version: number): Promise<TenantKey>;
  unwrap(tenantId: string, key: TenantKey): Promise<CryptoKey>;
  /** The same data key, wrapped by the first key. */
  rewrap(tenantId: string, key: TenantKey): Promise<TenantKey>;
  /** JSON that names its key, so that it can be opened by the right one. */
  sealForHouse(name: string, plain: string): Promise<Uint8Array<ArrayBuffer>>;
  openForHouse(name: string, sealed: Uint8Array): Promise<string>;
}

interface Held {
  readonly name: string;
  readonly key: CryptoKey;
}

/** The first of `keys` wraps, all of them unwrap; null: the house has none. */
export function newKeyRing(keys: readonly KeyEncryptionKey[] | null): KeyRing {
  const imported = new Map<string, Promise<CryptoKey>>();

  function missing(what: string): AppError {
    return new AppError("not_configured", what, { field: "KEY_ENCRYPTION_KEYS" });
  }

  function first(): string {
    const name = keys?.[0]?.name;
    if (name === undefined) throw missing("No key-encryption key");
    return name;
  }

  async function find(name: string): Promise<Held> {
    const found = keys?.find((key) => key.name === name);
    if (found === undefined) throw missing(`No key-encryption key "${name}"`);
    const key = imported.get(found.name) ?? importKey(Uint8Array.fromBase64(found.key.reveal()));
    imported.set(found.name, key);
    return { name: found.name, key: await key };
  }

  async function wrap(
    tenantId: string,
    version: number,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<TenantKey> {
    const { name, key } = await find(first());
    const wrapped = await seal(key, wrapPlace(tenantId, version), bytes);
    bytes.fill(0);
    return { version, wrapped, kek: name };
  }

  async function bytesOf(tenantId: string, row: TenantKey): Promise<Uint8Array<ArrayBuffer>> {
    const { key } = await find(row.kek);
    return await unseal(key, wrapPlace(tenantId, row.version), new Uint8Array(row.wrapped));
  }

  return {
    first,
    newDataKey: (tenantId, version) =>
      wrap(tenantId, version, crypto.getRandomValues(new Uint8Array(DATA_KEY_BYTES))),
    async unwrap(tenantId, row) {
      const bytes = await bytesOf(tenantId, row);
      const key = await importKey(bytes);
      bytes.fill(0);
      return key;
    },
    rewrap: async (tenantId, row) => wrap(tenantId, row.version, await bytesOf(tenantId, row)),
    async sealForHouse(name, plain) {
      const { name: kek, key } = await find(first());
      const sealed = await seal(key, housePlace(name), new TextEncoder().encode(plain));
      return new TextEncoder().encode(JSON.stringify({ kek, sealed: sealed.toBase64() }));
    },
    async openForHouse(name, bytes) {
      const { kek, sealed } = JSON.parse(new TextDecoder().decode(bytes));
      const { key } = await find(String(kek));
      const plain = await unseal(key, housePlace(name), Uint8Array.fromBase64(String(sealed)));
      return new TextDecoder().decode(plain);
    },
  };
}

/** The name of the key that sealed a value of the house's. */
export function houseKeyOf(sealed: Uint8Array): string {
  return String(JSON.parse(new TextDecoder().decode(sealed)).kek);
}

function wrapPlace(tenantId: string, version: number): string {
  return `${tenantId}/tenant_key/wrapped/${version}`;
}

function housePlace(name: string): string {
  return `house/${name}`;
}
