/** Rotation of keys: everything opens before, during and after, and the old key can go at its end. */

import assert from "node:assert/strict";
import type { Database, Sql } from "@/db/client.ts";
import { houseKeyOf } from "@/db/key_ring.ts";
import { renewDataKeys, RETIRED_AFTER_MS, rewrapKeys } from "@/db/rotation.ts";
import { isSealedUnder, listHouseSecrets, SEALED_COLUMNS, SHORT_LIVED } from "@/db/sealed.ts";
import { listTenantKeys } from "@/db/tenant_keys.ts";
import { newVault, type Place } from "@/db/vault.ts";
import type { KeyEncryptionKey } from "@/lib/config.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { Secret } from "@/lib/secret.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { DEADLINE_MS, newTenant } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

/** Opens and seals of the test under load; full size: 20000. */
const LOADS = Number(Deno.env.get("ROTATION_LOADS") ?? "300");

function newKey(name: string): KeyEncryptionKey {
  const key = crypto.getRandomValues(new Uint8Array(32)).toBase64();
  return { name, key: new Secret(key) };
}

interface Kept {
  readonly place: Place;
  readonly plain: string;
}

/** A tenant with one credential that the vault of these keys has sealed. */
async function newKept(database: Database, keys: readonly KeyEncryptionKey[]): Promise<Kept> {
  const tenantId = await newTenant(database);
  const id = newId("credential");
  const place = { tenantId, table: "credential", column: "sealed", row: id };
  const plain = crypto.randomUUID();
  const sealed = await newVault(database, keys).seal(place, plain);
  await bound(database, tenantId, (sql) =>
    sql`
      insert into credential (tenant_id, id, provider, name, sealed, masked, status)
      values (${uuidOf("tenant", tenantId)}, ${uuidOf("credential", id)}, 'openai', 'default',
        ${sealed}, '{}', 'unchecked')`);
  return { place, plain };
}

function bound<T>(
  database: Database,
  tenantId: string,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  return database.asTenant("rest", tenantId, DEADLINE_MS, work);
}

async function sealedOf(database: Database, { tenantId, row }: Place): Promise<Uint8Array> {
  const [found] = await bound(database, tenantId, (sql) =>
    sql<{ sealed: Uint8Array }[]>`
      select sealed from credential where id = ${uuidOf("credential", row)}`);
  assert.ok(found);
  return found.sealed;
}

async function opened(
  database: Database,
  keys: readonly KeyEncryptionKey[],
  kept: Kept,
): Promise<string> {
  return await newVault(database, keys).open(kept.place, await sealedOf(database, kept.place));
}

const [K1, K2, K3] = [newKey("k1"), newKey("k2"), newKey("k3")];
/** The tests share a database, so that each knows every key. */
const byFirst = (first: KeyEncryptionKey): KeyEncryptionKey[] => [
  first,
  ...[K1, K2, K3].filter((key) => key !== first),
];

Deno.test("after a rotation every data key is wrapped by the first key, and the old one can go", async () => {
  await using database = await open();
  const kept: Kept[] = [];
  for (let i = 0; i < 120; i++) kept.push(await newKept(database, [K1])); // more than two batches
  const rewrapped = await rewrapKeys({ database, keys: byFirst(K2) });
  assert.ok(rewrapped.dataKeys >= 120);
  for (const one of kept) assert.equal(await opened(database, [K2], one), one.plain);
  assert.deepEqual(await rewrapKeys({ database, keys: byFirst(K2) }), {
    dataKeys: 0,
    houseSecrets: 0,
    lost: 0,
  });
});

Deno.test("a rotation that was broken off goes on where it was", async () => {
  await using database = await open();
  const kept: Kept[] = [];
  for (let i = 0; i < 60; i++) kept.push(await newKept(database, [K1]));
  await rewrapKeys({ database, keys: byFirst(K1) });
  let transactions = 0;
  const failing: Database = {
    ...database,
    asTenant: (...args) =>
      ++transactions > 2 ? Promise.reject(new Error("killed")) : database.asTenant(...args),
  };
  await assert.rejects(rewrapKeys({ database: failing, keys: byFirst(K3) }), /killed/);
  for (const one of kept) assert.equal(await opened(database, [K1, K3], one), one.plain);
  const { dataKeys } = await rewrapKeys({ database, keys: byFirst(K3) });
  assert.ok(dataKeys >= 10, `${dataKeys}`);
  for (const one of kept) assert.equal(await opened(database, [K3], one), one.plain);
});

Deno.test("a data key whose own key is lost is left as it is, and does not stop the others", async () => {
  await using database = await open();
  const lost = newKey("lost");
  const stranded = await newKept(database, [lost]);
  const kept = await newKept(database, [K1]);
  const rewrapped = await rewrapKeys({ database, keys: byFirst(K2) });
  assert.equal(rewrapped.lost, 1);
  assert.equal(await opened(database, [K2], kept), kept.plain);
  assert.equal(await opened(database, [lost], stranded), stranded.plain);
  assert.equal((await rewrapKeys({ database, keys: [...byFirst(K2), lost] })).lost, 0);
});

Deno.test("a secret of the house is sealed by the first key too", async () => {
  await using database = await open();
  const id = crypto.randomUUID();
  const sealed = await newVault(database, [K1]).sealForHouse(`signing_key/${id}`, "private");
  await database.lookup("rest", DEADLINE_MS, (sql) =>
    sql`
      insert into signing_key (id, public_jwk, private_sealed, signs_until, verifies_until)
      values (${id}, '{}', ${sealed}, now(), now())`);
  assert.equal((await rewrapKeys({ database, keys: byFirst(K2) })).houseSecrets, 1);
  const rows = await database.lookup("rest", DEADLINE_MS, listHouseSecrets);
  const row = rows.find((row) => row.id === id);
  assert.ok(row);
  assert.equal(houseKeyOf(row.sealed), "k2");
  assert.equal(await newVault(database, [K2]).openForHouse(row.name, row.sealed), "private");
});

Deno.test("a tenant's new data key seals all that it has; the one before opens until it is retired", async () => {
  await using database = await open();
  const kept = await newKept(database, [K1]);
  const { place, plain } = kept;
  const { tenantId } = place;
  const stale = newVault(database, [K1]);
  const old = await sealedOf(database, place);
  assert.equal(await stale.open(place, old), plain);
  const renew = () => renewDataKeys({ database, keys: byFirst(K1) }, [tenantId]);
  assert.deepEqual(await renew(), { tenants: 1, sealed: 1, retired: 0 });
  const resealed = await sealedOf(database, place);
  assert.deepEqual([old[3], resealed[3]], [1, 2]);
  assert.deepEqual([await stale.open(place, resealed), await stale.open(place, old)], [
    plain,
    plain,
  ]);
  assert.equal(await newVault(database, [K1]).open(place, old), plain);
  await age(database, tenantId);
  assert.deepEqual(await renew(), { tenants: 1, sealed: 1, retired: 1 });
  const versions = await bound(database, tenantId, (sql) => listTenantKeys(sql, tenantId));
  assert.deepEqual(versions.map(({ version }) => version), [3, 2]);
  assert.equal(await opened(database, [K1], kept), plain);
});

Deno.test("a data key under which something is still sealed is not retired", async () => {
  await using database = await open();
  const kept = await newKept(database, [K1]);
  const { tenantId, row } = kept.place;
  const old = await sealedOf(database, kept.place);
  const renew = () => renewDataKeys({ database, keys: byFirst(K1) }, [tenantId]);
  await renew();
  await age(database, tenantId);
  // A machine that slept through the rotation writes what it had sealed before.
  await bound(
    database,
    tenantId,
    (sql) => sql`update credential set sealed = ${old} where id = ${uuidOf("credential", row)}`,
  );
  const isUsed = (version: number) =>
    bound(database, tenantId, (sql) => isSealedUnder(sql, tenantId, version));
  assert.deepEqual([await isUsed(1), await isUsed(2)], [true, false]);
  assert.equal((await renew()).sealed, 1); // sealed anew first, and only then let go
  assert.equal(await opened(database, [K1], kept), kept.plain);
});

Deno.test("two rotations under load: no open and no seal fails", async () => {
  await using database = await open();
  const kept: Kept[] = [];
  for (let i = 0; i < 20; i++) kept.push(await newKept(database, byFirst(K1)));
  await rewrapKeys({ database, keys: byFirst(K1) });
  // Two machines that remember too few tenants to do without the database.
  const machines = [K1, K2].map((key) => newVault(database, byFirst(key), { tenantsMax: 3 }));
  let failures = 0;
  let done = 0;
  const rotations = { count: 0 };
  async function load(worker: number): Promise<void> {
    while (done < LOADS || rotations.count < 2) {
      const at = done++;
      const { place, plain } = kept[(at * 7 + worker) % kept.length] ?? kept[0] ?? never();
      const vault = machines[at % machines.length] ?? never();
      try {
        assert.equal(await vault.open(place, await sealedOf(database, place)), plain);
        const again = { ...place, row: `load_${at}` };
        const sealed = await vault.seal(again, plain);
        assert.equal(await machines[(at + 1) % 2]?.open(again, sealed), plain);
      } catch {
        failures++;
      }
    }
  }
  async function rotate(): Promise<void> {
    for (const key of [K2, K3]) {
      const tenantIds = kept.map(({ place }) => place.tenantId);
      await rewrapKeys({ database, keys: byFirst(key) });
      await renewDataKeys({ database, keys: byFirst(key) }, tenantIds);
      rotations.count++;
    }
  }
  await Promise.all([...Array.from({ length: 16 }, (_, worker) => load(worker)), rotate()]);
  assert.deepEqual({ failures, rotations: rotations.count }, { failures: 0, rotations: 2 });
  assert.ok(done >= LOADS);
  for (const one of kept) assert.equal(await opened(database, [K3], one), one.plain);
});

Deno.test("every column that the vault seals is sealed anew by a rotation, or known to be short-lived", async () => {
  await using database = await open();
  const columns = await database.asOwner(DEADLINE_MS, (sql) =>
    sql<{ name: string }[]>`
      select table_name || '.' || column_name as name from information_schema.columns
      where table_schema = 'public' and data_type = 'bytea' and column_name like '%sealed'
      order by 1`);
  const known = [
    ...SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`),
    ...SHORT_LIVED,
    "signing_key.private_sealed",
  ];
  assert.deepEqual(columns.map(({ name }) => name), known.toSorted());
});

/** Makes all its data keys look as old as a superseded one must be to be retired. */
async function age(database: Database, tenantId: string): Promise<void> {
  await database.asOwner(DEADLINE_MS, async (sql) => {
    await sql`alter table tenant_key no force row level security`;
    await sql`
      update tenant_key set created_at = now() - ${
      RETIRED_AFTER_MS + 1000
    } * interval '1 millisecond'
      where tenant_id = ${uuidOf("tenant", tenantId)}`;
    await sql`alter table tenant_key force row level security`;
  });
}

function never(): never {
  throw new Error("Out of range");
}
