/** The tables of the database as its catalogue has them, and a search through all that they hold. */

import type { Database } from "@/db/client.ts";
import { DEADLINE_MS } from "./rows.ts";

export interface CatalogueTable {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/** Every table but the one of the migrations. */
export async function catalogue(database: Database): Promise<CatalogueTable[]> {
  const rows = await database.asOwner(DEADLINE_MS, (sql) =>
    sql<{ json: CatalogueTable }[]>`
    select jsonb_build_object('name', c.relname, 'columns', (
      select jsonb_agg(
        jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, null))
        order by a.attnum)
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)) as json
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
      and c.relname <> 'migration'
    order by c.relname`);
  return rows.map(({ json }) => json);
}

/** Where the text stands, as `table.column`: in any column of any row, past every policy. */
export async function placesOf(database: Database, text: string): Promise<string[]> {
  const tables = await catalogue(database);
  return await database.asOwner(DEADLINE_MS, async (sql) => {
    const places: string[] = [];
    for (const { name: table, columns } of tables) {
      for (const { name, type } of columns) {
        const column = sql`t.${sql(name)}`;
        const found = await sql`
          select 1 from ${sql(table)} t
          where ${
          type === "bytea"
            ? sql`position(convert_to(${text}, 'UTF8') in ${column}) > 0`
            : sql`position(${text} in ${column}::text) > 0`
        } limit 1`;
        if (found.length > 0) places.push(`${table}.${name}`);
      }
    }
    return places.sort();
  });
}
