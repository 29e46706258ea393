/** What people prefer: theirs alone, so that fellow members do not read it. JSON, checked by who writes it. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export type StoredPreferences = Readonly<Record<string, unknown>>;

/** Empty for who has never said any. */
export async function getPersonPreferences(sql: Sql, personId: string): Promise<StoredPreferences> {
  const [row] = await sql<{ preferences: StoredPreferences }[]>`
    select preferences from person_preference where person_id = ${uuidOf("person", personId)}`;
  return row?.preferences ?? {};
}

/** All of them, in place of what was there. */
export async function updatePersonPreferences(
  sql: Sql,
  personId: string,
  preferences: StoredPreferences,
): Promise<void> {
  await sql`
    insert into person_preference (person_id, preferences)
    values (${uuidOf("person", personId)}, ${asJson(sql, preferences)})
    on conflict (person_id) do update set preferences = excluded.preferences`;
}
