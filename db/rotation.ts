/** Rotation of keys while everything runs: in batches, and again from where it was when it was broken off. */

import type { KeyEncryptionKey } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { type Log, silentLog } from "@/lib/log.ts";
import type { Database } from "./client.ts";
import { houseKeyOf, type KeyRing, newKeyRing } from "./key_ring.ts";
import { tenantsNotWrappedBy } from "./lookups.ts";
import { isSealedUnder, listHouseSecrets, listSealedOtherwise, SEALED_COLUMNS } from "./sealed.ts";
import { type SealedColumn, updateHouseSecret, updateSealed } from "./sealed.ts";
import { deleteTenantKey, insertTenantKey, listSupersededKeys } from "./tenant_keys.ts";
import { listTenantKeys, type TenantKey, updateTenantKeyWrap } from "./tenant_keys.ts";
import { newVault, type Vault } from "./vault.ts";

const BATCH_TENANTS = 50;
const BATCH_ROWS = 100;
const BATCH_MS = 30_000;
/** A superseded data key is kept so long: longer than a machine remembers it, and than SHORT_LIVED rows live. */
export const RETIRED_AFTER_MS = 48 * 3_600_000;

export interface RotationOptions {
  readonly database: Database;
  /** The first one wraps from now on. All machines must know it already. */
  readonly keys: readonly KeyEncryptionKey[] | null;
  readonly log?: Log;
}

export interface Rewrapped {
  readonly dataKeys: number;
  readonly houseSecrets: number;
  /** Left as they are: wrapped or sealed by a key that is no longer there. */
  readonly lost: number;
}

/**
 * Wraps every data key, and seals every secret of the house's, by the first key: when none is lost,
 * the other keys can go. Throws AppError("not_configured") where there is no key at all.
 */
export async function rewrapKeys(options: RotationOptions): Promise<Rewrapped> {
  const { database, log = silentLog } = options;
  const ring = newKeyRing(options.keys);
  const total = await rewrapHouse(database, ring);
  for await (const tenantIds of tenants(database, ring.first())) {
    const { rewrapped, lost } = await rewrapTenants(database, ring, tenantIds);
    total.dataKeys += rewrapped;
    total.lost += lost;
    log.info("data keys re-wrapped", total);
  }
  return total;
}

export interface Renewed {
  readonly tenants: number;
  readonly sealed: number;
  readonly retired: number;
}

/** Gives tenants a new data key, seals what they have under it, and lets go of data keys that nobody needs. */
export async function renewDataKeys(
  options: RotationOptions,
  only: readonly string[] | null,
): Promise<Renewed> {
  const { database, log = silentLog } = options;
  const ring = newKeyRing(options.keys);
  const total = { tenants: 0, sealed: 0, retired: 0 };
  for await (const tenantIds of only === null ? tenants(database, "") : [only]) {
    for (const tenantId of tenantIds) {
      await addDataKey(database, ring, tenantId);
      // A vault of its own: one that remembers would seal under the version before.
      total.sealed += await resealTenant(database, newVault(database, options.keys), tenantId);
      total.retired += await retireKeys(database, tenantId);
      total.tenants++;
    }
    log.info("data keys renewed", total);
  }
  return total;
}

/** Pages of tenants that have a data key which this key does not wrap; of all, for the name of no key. */
async function* tenants(database: Database, kek: string): AsyncGenerator<readonly string[]> {
  let after: string | null = null;
  for (;;) {
    const page: readonly string[] = await database.lookup(
      "jobs",
      BATCH_MS,
      (sql) => tenantsNotWrappedBy(sql, kek, { after, limit: BATCH_TENANTS }),
    );
    if (page.length === 0) return;
    yield page;
    after = page.at(-1) ?? null;
  }
}

async function rewrapTenants(
  database: Database,
  ring: KeyRing,
  tenantIds: readonly string[],
): Promise<{ rewrapped: number; lost: number }> {
  const rows = await database.asTenant("jobs", tenantIds, BATCH_MS, async (sql) => {
    const all: { tenantId: string; key: TenantKey }[] = [];
    for (const tenantId of tenantIds) {
      for (const key of await listTenantKeys(sql, tenantId)) all.push({ tenantId, key });
    }
    return all;
  });
  const stale = rows.filter(({ key }) => key.kek !== ring.first());
  const wrapped = await Promise.all(stale.map(async ({ tenantId, key: { kek, ...key } }) => {
    const again = await ifThere(() => ring.rewrap(tenantId, { kek, ...key }));
    return again && { tenantId, kek, key: again };
  }));
  return await database.asTenant("jobs", tenantIds, BATCH_MS, async (sql) => {
    let rewrapped = 0;
    for (const one of wrapped) {
      if (one === null) continue;
      if (await updateTenantKeyWrap(sql, one.tenantId, one.kek, one.key)) rewrapped++;
    }
    return { rewrapped, lost: wrapped.filter((one) => one === null).length };
  });
}

async function rewrapHouse(
  database: Database,
  ring: KeyRing,
): Promise<{ dataKeys: number; houseSecrets: number; lost: number }> {
  const total = { dataKeys: 0, houseSecrets: 0, lost: 0 };
  for (const { id, name, sealed } of await database.lookup("jobs", BATCH_MS, listHouseSecrets)) {
    if (houseKeyOf(sealed) === ring.first()) continue;
    const plain = await ifThere(() => ring.openForHouse(name, sealed));
    if (plain === null) {
      total.lost++;
      continue;
    }
    const change = { id, before: sealed, sealed: await ring.sealForHouse(name, plain) };
    await database.lookup("jobs", BATCH_MS, async (sql) => {
      if (await updateHouseSecret(sql, change)) total.houseSecrets++;
    });
  }
  return total;
}

/** Null where the key that this needs is not there. */
async function ifThere<T>(open: () => Promise<T>): Promise<T | null> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof AppError && error.code === "not_configured") return null;
    throw error;
  }
}

async function addDataKey(database: Database, ring: KeyRing, tenantId: string): Promise<void> {
  const list = () =>
    database.asTenant("jobs", tenantId, BATCH_MS, (sql) => listTenantKeys(sql, tenantId));
  const newest = (await list())[0]?.version ?? 0;
  const made = await ring.newDataKey(tenantId, newest + 1);
  await database.asTenant(
    "jobs",
    tenantId,
    BATCH_MS,
    (sql) => insertTenantKey(sql, tenantId, made), // another rotation's may have come first
  );
}

async function resealTenant(
  database: Database,
  vault: Vault,
  tenantId: string,
): Promise<number> {
  const [newest] = await database.asTenant(
    "jobs",
    tenantId,
    BATCH_MS,
    (sql) => listTenantKeys(sql, tenantId),
  );
  let count = 0;
  for (const column of SEALED_COLUMNS) {
    count += await resealColumn(database, vault, {
      tenantId,
      column,
      version: newest?.version ?? 0,
    });
  }
  return count;
}

async function resealColumn(
  database: Database,
  vault: Vault,
  { tenantId, column, version }: {
    readonly tenantId: string;
    readonly column: SealedColumn;
    readonly version: number;
  },
): Promise<number> {
  let after: string | null = null;
  let count = 0;
  for (;;) {
    const page: { version: number; after: string | null; limit: number } = {
      version,
      after,
      limit: BATCH_ROWS,
    };
    const rows = await database.asTenant(
      "jobs",
      tenantId,
      BATCH_MS,
      (sql) => listSealedOtherwise(sql, tenantId, column, page),
    );
    for (const { id, sealed: before } of rows) {
      const place = { tenantId, table: column.table, column: column.column, row: id };
      const sealed = await vault.seal(place, await vault.open(place, before));
      const change = { id, before, sealed };
      await database.asTenant("jobs", tenantId, BATCH_MS, async (sql) => {
        if (await updateSealed(sql, tenantId, column, change)) count++;
      });
    }
    after = rows.at(-1)?.id ?? null;
    if (after === null) return count;
  }
}

async function retireKeys(database: Database, tenantId: string): Promise<number> {
  return await database.asTenant("jobs", tenantId, BATCH_MS, async (sql) => {
    let count = 0;
    for (const version of await listSupersededKeys(sql, tenantId, RETIRED_AFTER_MS)) {
      if (await isSealedUnder(sql, tenantId, version)) continue;
      await deleteTenantKey(sql, tenantId, version);
      count++;
    }
    return count;
  });
}
