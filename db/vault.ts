/** The vault: seals what a tenant entrusts to us, under a data key of its own, to where it stands. */

import { type Clock, systemClock } from "@/lib/clock.ts";
import type { KeyEncryptionKey } from "@/lib/config.ts";
import { seal, unseal } from "@/lib/envelope.ts";
import type { Database } from "./client.ts";
import { newKeyRing } from "./key_ring.ts";
import { insertTenantKey, listTenantKeys, type TenantKey } from "./tenant_keys.ts";

const LOAD_MS = 2_000;
/** Tenants whose unwrapped keys are held in memory; the one that was used longest ago goes first. */
const TENANTS_MAX = 1_000;
/** Held keys are read anew after so long: by then no machine seals under a version that was superseded. */
const HELD_MS = 10 * 60_000;

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

export interface VaultOptions {
  readonly clock?: Clock;
  /** TENANTS_MAX when absent. */
  readonly tenantsMax?: number;
}

/** A tenant's data keys, as one reading found them. */
interface Held {
  readonly at: number;
  readonly newest: number;
  readonly byVersion: ReadonlyMap<number, CryptoKey>;
}

/** The first of `keys` seals, all of them open; null: the house has none. */
export function newVault(
  database: Database,
  keys: readonly KeyEncryptionKey[] | null,
  { clock = systemClock, tenantsMax = TENANTS_MAX }: VaultOptions = {},
): Vault {
  const ring = newKeyRing(keys);
  const held = new Map<string, Promise<Held>>();

  function rowsOf(tenantId: string): Promise<TenantKey[]> {
    return database.asTenant("calls", tenantId, LOAD_MS, (sql) => listTenantKeys(sql, tenantId));
  }

  async function load(tenantId: string): Promise<Held> {
    const at = clock.now();
    let rows = await rowsOf(tenantId);
    if (rows.length === 0) {
      const made = await ring.newDataKey(tenantId, 1);
      await database.asTenant(
        "calls",
        tenantId,
        LOAD_MS,
        (sql) => insertTenantKey(sql, tenantId, made),
      );
      rows = await rowsOf(tenantId); // another machine's may have come first
    }
    const unwrapped = rows.map(async (row) =>
      [row.version, await ring.unwrap(tenantId, row)] as const
    );
    const byVersion = new Map(await Promise.all(unwrapped));
    return { at, newest: Math.max(...byVersion.keys()), byVersion };
  }

  /** Reads them, for everyone who waits; a failure is not remembered. */
  function loading(tenantId: string): Promise<Held> {
    const keys = load(tenantId);
    keys.catch(() => forget(tenantId, keys));
    held.set(tenantId, keys);
    const [oldest] = held.keys();
    if (held.size > tenantsMax && oldest !== undefined) held.delete(oldest);
    return keys;
  }

  function forget(tenantId: string, keys: Promise<Held>): void {
    if (held.get(tenantId) === keys) held.delete(tenantId);
  }

  /** What is in memory; null when nothing is, or only what is too old. */
  async function remembered(tenantId: string): Promise<Held | null> {
    const known = held.get(tenantId);
    if (known === undefined) return null;
    const keys = await known;
    if (clock.now() - keys.at >= HELD_MS) {
      forget(tenantId, known);
      return null;
    }
    if (held.get(tenantId) === known) {
      held.delete(tenantId);
      held.set(tenantId, known); // the newest of the map now
    }
    return keys;
  }

  async function dataKeys(tenantId: string): Promise<Held> {
    return await remembered(tenantId) ?? await (held.get(tenantId) ?? loading(tenantId));
  }

  /** A version that is not in memory was made by another machine since: looked for once more. */
  async function keyOf(tenantId: string, version: number): Promise<CryptoKey> {
    const known = (await dataKeys(tenantId)).byVersion.get(version);
    if (known !== undefined) return known;
    const found = (await loading(tenantId)).byVersion.get(version);
    if (found === undefined) throw new Error(`No data key ${version} of "${tenantId}"`);
    return found;
  }

  return {
    async seal(place, plain) {
      const { newest, byVersion } = await dataKeys(place.tenantId);
      const key = byVersion.get(newest);
      if (key === undefined) throw new Error(`Tenant "${place.tenantId}" has no data key`);
      const sealed = await seal(key, placeText(place), new TextEncoder().encode(plain));
      return versioned(newest, sealed);
    },
    async open(place, bytes) {
      const { version, sealed } = versionOf(bytes);
      const key = await keyOf(place.tenantId, version);
      return new TextDecoder().decode(await unseal(key, placeText(place), sealed));
    },
    sealForHouse: ring.sealForHouse,
    openForHouse: ring.openForHouse,
  };
}

/** The row comes last: of the others none holds a slash. */
function placeText({ tenantId, table, column, row }: Place): string {
  return `${tenantId}/${table}/${column}/${row}`;
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
