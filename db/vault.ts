/** The vault: seals what a tenant entrusts to us, under a data key of its own, to where it stands. */

import { AppError } from "@/lib/errors.ts";
import type { KeyEncryptionKey } from "@/lib/config.ts";
import { importKey, seal, unseal } from "@/lib/envelope.ts";
import type { Database } from "./client.ts";
import { insertTenantKey, listTenantKeys } from "./tenant_keys.ts";

const LOAD_MS = 2_000;
/** Tenants whose unwrapped keys are held in memory; the one that came first goes first. */
const HELD_MAX = 1_000;

/** Where a sealed value stands: opened anywhere else, it does not open. */
export interface Place {
  readonly tenantId: string;
  readonly table: string;
  readonly column: string;
  /** The row's id. */
  readonly row: string;
}

/** Never inside a transaction: nothing but SQL is awaited there. */
export interface Vault {
  /** Throws AppError("not_configured") where the house has no key-encryption key. */
  seal(place: Place, plain: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Throws AppError("not_configured") when the key that it was wrapped by is not there. */
  open(place: Place, sealed: Uint8Array): Promise<string>;
  /** As the two above, for what is the house's and no tenant's; `name` says what it is. */
  sealForHouse(name: string, plain: string): Promise<Uint8Array<ArrayBuffer>>;
  openForHouse(name: string, sealed: Uint8Array): Promise<string>;
}

interface DataKey {
  readonly version: number;
  readonly key: CryptoKey;
}

/** The first of `keys` seals, all of them open; null: the house has none. */
export function newVault(
  database: Database,
  keys: readonly KeyEncryptionKey[] | null,
): Vault {
  const held = new Map<string, Promise<readonly DataKey[]>>();

  function kek(name: string | null): Promise<{ name: string; key: CryptoKey }> {
    const found = name === null ? keys?.[0] : keys?.find((key) => key.name === name);
    if (found === undefined) {
      const what = name === null ? "No key-encryption key" : `No key-encryption key "${name}"`;
      throw new AppError("not_configured", what, { field: "KEY_ENCRYPTION_KEYS" });
    }
    return importKey(Uint8Array.fromBase64(found.key.reveal()))
      .then((key) => ({ name: found.name, key }));
  }

  async function load(tenantId: string): Promise<readonly DataKey[]> {
    const read = () =>
      database.asTenant("rest", tenantId, LOAD_MS, (sql) => listTenantKeys(sql, tenantId));
    let rows = await read();
    if (rows.length === 0) {
      const { name, key } = await kek(null);
      const made = crypto.getRandomValues(new Uint8Array(32));
      const wrapped = await seal(key, wrapPlace(tenantId, 1), made);
      await database.asTenant(
        "rest",
        tenantId,
        LOAD_MS,
        (sql) => insertTenantKey(sql, tenantId, { version: 1, wrapped, kek: name }),
      );
      rows = await read();
    }
    return await Promise.all(rows.map(async ({ version, wrapped, kek: name }) => {
      const { key } = await kek(name);
      const bytes = await unseal(key, wrapPlace(tenantId, version), new Uint8Array(wrapped));
      return { version, key: await importKey(bytes) };
    }));
  }

  function dataKeys(tenantId: string): Promise<readonly DataKey[]> {
    const known = held.get(tenantId);
    if (known !== undefined) return known;
    const loading = load(tenantId);
    loading.catch(() => held.delete(tenantId)); // a failure is not remembered
    held.set(tenantId, loading);
    const [oldest] = held.keys();
    if (held.size > HELD_MAX && oldest !== undefined) held.delete(oldest);
    return loading;
  }

  return {
    async seal(place, plain) {
      const [newest] = await dataKeys(place.tenantId);
      if (newest === undefined) throw new Error(`Tenant "${place.tenantId}" has no data key`);
      const sealed = await seal(newest.key, placeText(place), new TextEncoder().encode(plain));
      return versioned(newest.version, sealed);
    },
    async open(place, bytes) {
      const { version, sealed } = versionOf(bytes);
      const key = (await dataKeys(place.tenantId)).find((key) => key.version === version)?.key;
      if (key === undefined) throw new Error(`No data key ${version} of "${place.tenantId}"`);
      return new TextDecoder().decode(await unseal(key, placeText(place), sealed));
    },
    async sealForHouse(name, plain) {
      const { name: kekName, key } = await kek(null);
      const sealed = await seal(key, `house/${name}`, new TextEncoder().encode(plain));
      const text = JSON.stringify({ kek: kekName, sealed: sealed.toBase64() });
      return new TextEncoder().encode(text);
    },
    async openForHouse(name, bytes) {
      const { kek: kekName, sealed } = JSON.parse(new TextDecoder().decode(bytes));
      const { key } = await kek(kekName);
      const plain = await unseal(key, `house/${name}`, Uint8Array.fromBase64(sealed));
      return new TextDecoder().decode(plain);
    },
  };
}

function placeText({ tenantId, table, column, row }: Place): string {
  return `${tenantId}/${table}/${column}/${row}`;
}

function wrapPlace(tenantId: string, version: number): string {
  return placeText({ tenantId, table: "tenant_key", column: "wrapped", row: String(version) });
}

/** Four bytes of the data key's version, then what was sealed. */
function versioned(version: number, sealed: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(4 + sealed.length);
  new DataView(whole.buffer).setUint32(0, version);
  whole.set(sealed, 4);
  return whole;
}

function versionOf(bytes: Uint8Array): { version: number; sealed: Uint8Array<ArrayBuffer> } {
  const whole = new Uint8Array(bytes);
  return { version: new DataView(whole.buffer).getUint32(0), sealed: whole.subarray(4) };
}
