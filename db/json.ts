/** JSON columns: how a value goes in. */

import type postgres from "postgres";
import type { Sql } from "./client.ts";

/** The value as jsonb. Throws what `JSON.stringify` throws; text with U+0000 is refused by the server. */
export function asJson(sql: Sql, value: unknown): postgres.Parameter {
  return sql.json(value as postgres.JSONValue); // what is not JSON fails to be stringified
}
