/** Rotation of keys while everything runs: in batches, and again from where it was when it was broken off. */

import type { KeyEncryptionKey } from "@/lib/config.ts";
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
}

/**
 * Wraps every data key, and seals every secret of the house's, by the first key: then the others can
 * go. Throws AppError("not_configured") when one of them is already gone that is still needed.
 */
export async function rewrapKeys(options: RotationOptions): Promise<Rewrapped> {
  const ring = newKeyRing(options.keys);
  const houseSecrets = await rewrapHouse(options.database, ring);
  let dataKeys = 0;
  for await (const tenantIds of tenants(options.database, ring.first ?? "")) {
    dataKeys += await rewrapTenants(options.database, ring, tenantIds);
    options.log?.info("data keys re-wrapped", { dataKeys });
  }
  return { dataKeys, houseSecrets };
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
): Promise<number> {
  const stale: { tenantId: string; key: TenantKey }[] = [];
  await database.asTenant("jobs", tenantIds, BATCH_MS, async (sql) => {
    for (const tenantId of tenantIds) {
      for (const key of await listTenantKeys(sql, tenantId)) {
        if (key.kek !== ring.first) stale.push({ tenantId, key });
      }
    }
  });
  const wrapped = await Promise.all(
    stale.map(async ({ tenantId, key }) => ({
      tenantId,
      kek: key.kek,
      key: await ring.rewrap(tenantId, key),
    })),
  );
  return await database.asTenant("jobs", tenantIds, BATCH_MS, async (sql) => {
    let count = 0;
    for (const { tenantId, kek, key } of wrapped) {
      if (await updateTenantKeyWrap(sql, tenantId, kek, key)) count++;
    }
    return count;
  });
}

async function rewrapHouse(database: Database, ring: KeyRing): Promise<number> {
  const rows = await database.lookup("jobs", BATCH_MS, listHouseSecrets);
  let count = 0;
  for (const { id, name, sealed } of rows) {
    if (houseKeyOf(sealed) === ring.first) continue;
    const again = await ring.sealForHouse(name, await ring.openForHouse(name, sealed));
    const isDone = await database.lookup(
      "jobs",
      BATCH_MS,
      (sql) => updateHouseSecret(sql, { id, before: sealed, sealed: again }),
    );
    if (isDone) count++;
  }
  return count;
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
