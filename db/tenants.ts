/** Tenants: whose everything else is. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface Tenant {
  readonly id: string;
  readonly name: string;
}

/** False when there is one with this id. */
export async function insertTenant(sql: Sql, tenant: Tenant): Promise<boolean> {
  const rows = await sql`
    insert into tenant (id, name) values (${uuidOf("tenant", tenant.id)}, ${tenant.name})
    on conflict do nothing`;
  return rows.count === 1;
}
