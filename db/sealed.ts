/** Every column that holds what the vault has sealed, so that it can be sealed anew. */

import { type IdPrefix, uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

/** A column of a tenant's table whose rows have an id. Its `Place` is the table, the column and that id. */
export interface SealedColumn {
  readonly table: string;
  readonly column: string;
  readonly prefix: IdPrefix;
}

export const SEALED_COLUMNS: readonly SealedColumn[] = [
  { table: "credential", column: "sealed", prefix: "credential" },
  { table: "webhook_endpoint", column: "secret_sealed", prefix: "endpoint" },
  { table: "webhook_endpoint", column: "previous_secret_sealed", prefix: "endpoint" },
];

/** Not sealed anew: they are gone before an old data key is. */
export const SHORT_LIVED: readonly string[] = ["idempotency_key.answer_sealed"];

export interface SealedRow {
  /** Prefixed. */
  readonly id: string;
  readonly sealed: Uint8Array;
}

/** Those sealed under another version of the data key, by id from after `after`. */
export async function listSealedOtherwise(
  sql: Sql,
  tenantId: string,
  { table, column, prefix }: SealedColumn,
  page: { readonly version: number; readonly after: string | null; readonly limit: number },
): Promise<SealedRow[]> {
  const after = page.after === null ? null : uuidOf(prefix, page.after);
  return await sql<SealedRow[]>`
    select ${`${prefix}_`} || id as id, ${sql(column)} as sealed from ${sql(table)}
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and substring(${sql(column)} from 1 for 4) <> int4send(${page.version})
      and (${after}::uuid is null or id > ${after})
    order by ${sql(table)}.id
    limit ${page.limit}`;
}

/** False when it is no longer what it was. */
export async function updateSealed(
  sql: Sql,
  tenantId: string,
  { table, column, prefix }: SealedColumn,
  { id, before, sealed }: {
    readonly id: string;
    readonly before: Uint8Array;
    readonly sealed: Uint8Array;
  },
): Promise<boolean> {
  const rows = await sql`
    update ${sql(table)} set ${sql(column)} = ${sealed}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf(prefix, id)}
      and ${sql(column)} = ${before}`;
  return rows.count === 1;
}

/** Whether anything of the tenant's is sealed under this version. */
export async function isSealedUnder(
  sql: Sql,
  tenantId: string,
  version: number,
): Promise<boolean> {
  for (const { table, column } of SEALED_COLUMNS) {
    const [found] = await sql`
      select 1 from ${sql(table)}
      where tenant_id = ${uuidOf("tenant", tenantId)}
        and substring(${sql(column)} from 1 for 4) = int4send(${version})
      limit 1`;
    if (found) return true;
  }
  return false;
}

/** A secret of the house's own. */
export interface HouseSecret {
  readonly id: string;
  /** What it was sealed as. */
  readonly name: string;
  readonly sealed: Uint8Array;
}

const HOUSE_SECRETS_MAX = 100;

/** The private halves of the keys that sign access tokens: the only secrets of the house's in the database. */
export async function listHouseSecrets(sql: Sql): Promise<HouseSecret[]> {
  return await sql<HouseSecret[]>`
    select id, 'signing_key/' || id as name, private_sealed as sealed from signing_key
    order by id
    limit ${HOUSE_SECRETS_MAX}`;
}

/** False when it is no longer what it was. */
export async function updateHouseSecret(
  sql: Sql,
  { id, before, sealed }: {
    readonly id: string;
    readonly before: Uint8Array;
    readonly sealed: Uint8Array;
  },
): Promise<boolean> {
  const rows = await sql`
    update signing_key set private_sealed = ${sealed}
    where id = ${id} and private_sealed = ${before}`;
  return rows.count === 1;
}
