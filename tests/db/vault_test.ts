/** The vault: what is sealed opens in its place and nowhere else, for as long as its keys are kept. */

import assert from "node:assert/strict";
import { insertTenantKey, listTenantKeys } from "@/db/tenant_keys.ts";
import { newKeyRing } from "@/db/key_ring.ts";
import { newVault, type Place } from "@/db/vault.ts";
import type { KeyEncryptionKey } from "@/lib/config.ts";
import { AppError } from "@/lib/errors.ts";
import { Secret } from "@/lib/secret.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

function newKey(name: string): KeyEncryptionKey {
  const key = crypto.getRandomValues(new Uint8Array(32)).toBase64();
  return { name, key: new Secret(key) };
}

const KEYS = [newKey("k1")];

function placeOf(tenantId: string): Place {
  return { tenantId, table: "credential", column: "sealed", row: "credential_1" };
}

Deno.test("what is sealed opens in its place, on another machine too", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const sealed = await newVault(database, KEYS).seal(placeOf(tenantId), "täglich 7 ☎");
  const opened = await newVault(database, KEYS).open(placeOf(tenantId), sealed);
  assert.equal(opened, "täglich 7 ☎");
  assert.ok(!new TextDecoder().decode(sealed).includes("glich"));
});

Deno.test("moved to another tenant, table, column or row it does not open, nor with one bit changed", async () => {
  await using database = await open();
  const vault = newVault(database, KEYS);
  const tenantId = await newTenant(database);
  const other = await newTenant(database);
  const place = placeOf(tenantId);
  const sealed = await vault.seal(place, "secret");
  await vault.seal(placeOf(other), "theirs"); // so that they have a key as well
  const elsewhere: Place[] = [
    { ...place, tenantId: other },
    { ...place, table: "webhook_endpoint" },
    { ...place, column: "masked" },
    { ...place, row: "credential_2" },
  ];
  for (const wrong of elsewhere) await assert.rejects(vault.open(wrong, sealed));
  for (const at of [4, 15, 16, sealed.length - 1]) {
    const bent = sealed.slice();
    bent[at] = (bent[at] ?? 0) ^ 1;
    await assert.rejects(vault.open(place, bent), `byte ${at}`);
  }
  assert.equal(await vault.open(place, sealed), "secret");
});

Deno.test("a tenant's key under another tenant's name does not unwrap", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const other = await newTenant(database);
  const ring = newKeyRing(KEYS);
  const key = await ring.newDataKey(tenantId, 1);
  await ring.unwrap(tenantId, key);
  await assert.rejects(ring.unwrap(other, key));
  await assert.rejects(ring.unwrap(tenantId, { ...key, version: 2 }));
});

Deno.test("two machines that seal for a new tenant at once agree on its key", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const place = placeOf(tenantId);
  const vaults = Array.from({ length: 4 }, () => newVault(database, KEYS));
  const sealed = await Promise.all(vaults.map((vault, i) => vault.seal(place, `secret ${i}`)));
  const reader = newVault(database, KEYS);
  for (const [i, one] of sealed.entries()) {
    assert.equal(await reader.open(place, one), `secret ${i}`);
  }
});

Deno.test("without key-encryption keys the vault is not configured, and says which setting is missing", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const missing = { code: "not_configured", field: "KEY_ENCRYPTION_KEYS" };
  const vault = newVault(database, null);
  await assert.rejects(vault.seal(placeOf(tenantId), "a"), missing);
  await assert.rejects(vault.sealForHouse("jwt", "a"), missing);
  const sealed = await newVault(database, KEYS).seal(placeOf(tenantId), "a");
  await assert.rejects(vault.open(placeOf(tenantId), sealed), missing);
  await assert.rejects(newVault(database, [newKey("k2")]).open(placeOf(tenantId), sealed), missing);
  const key = { code: "not_configured", message: 'No key-encryption key "k1"' };
  await assert.rejects(newVault(database, [newKey("k2")]).open(placeOf(tenantId), sealed), key);
});

Deno.test("a load that failed is not remembered", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const place = placeOf(tenantId);
  const sealed = await newVault(database, KEYS).seal(place, "secret");
  let isAway = true;
  const vault = newVault({
    ...database,
    asTenant: (...args) =>
      isAway
        ? Promise.reject(new AppError("database_unavailable", "No answer"))
        : database.asTenant(...args),
  }, KEYS);
  await assert.rejects(vault.open(place, sealed), { code: "database_unavailable" });
  isAway = false;
  assert.equal(await vault.open(place, sealed), "secret");
});

Deno.test("keys are read once while they are remembered, of so many tenants at most", async () => {
  await using database = await open();
  const clock = manualClock();
  let reads = 0;
  const vault = newVault(
    { ...database, asTenant: (...args) => (reads++, database.asTenant(...args)) },
    KEYS,
    { clock, tenantsMax: 2 },
  );
  const [a, b, c] = [
    await newTenant(database),
    await newTenant(database),
    await newTenant(database),
  ];
  const seeder = newVault(database, KEYS);
  for (const tenantId of [a, b, c]) await seeder.seal(placeOf(tenantId), "x");
  const touch = async (tenantId: string): Promise<number> => {
    const before = reads;
    await Promise.all([vault.seal(placeOf(tenantId), "1"), vault.seal(placeOf(tenantId), "2")]);
    return reads - before;
  };
  assert.deepEqual([await touch(a), await touch(b), await touch(a)], [1, 1, 0]);
  assert.equal(await touch(c), 1); // b was used longest ago
  assert.deepEqual([await touch(a), await touch(b)], [0, 1]);
  await clock.advance(10 * 60_000);
  assert.deepEqual([await touch(b), await touch(b)], [1, 0]);
});

Deno.test("a machine that remembers an older data key opens what another has sealed under a newer one", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const place = placeOf(tenantId);
  const stale = newVault(database, KEYS);
  const old = await stale.seal(place, "old");
  const made = await newKeyRing(KEYS).newDataKey(tenantId, 2);
  const bound = <T>(work: Parameters<typeof database.asTenant<T>>[3]) =>
    database.asTenant("rest", tenantId, DEADLINE_MS, work);
  assert.equal(await bound((sql) => insertTenantKey(sql, tenantId, made)), true);
  assert.equal(await bound((sql) => insertTenantKey(sql, tenantId, made)), false);
  assert.equal((await bound((sql) => listTenantKeys(sql, tenantId))).length, 2);
  const fresh = await newVault(database, KEYS).seal(place, "new");
  assert.deepEqual([old[3], fresh[3]], [1, 2]);
  assert.deepEqual([await stale.open(place, fresh), await stale.open(place, old)], ["new", "old"]);
  assert.equal((await stale.seal(place, "again"))[3], 2);
});

Deno.test("a version that nobody has made is an error, not a loop", async () => {
  await using database = await open();
  const tenantId = await newTenant(database);
  const vault = newVault(database, KEYS);
  const sealed = await vault.seal(placeOf(tenantId), "a");
  sealed[3] = 9;
  await assert.rejects(vault.open(placeOf(tenantId), sealed), /No data key 9/);
});

Deno.test("a secret of the house opens under its name alone, with any key that is still there", async () => {
  await using database = await open();
  const sealed = await newVault(database, KEYS).sealForHouse("jwt/1", "private");
  const rotated = newVault(database, [newKey("k0"), ...KEYS]);
  assert.equal(await rotated.openForHouse("jwt/1", sealed), "private");
  await assert.rejects(rotated.openForHouse("jwt/2", sealed));
});
