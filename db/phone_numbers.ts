/** Phone numbers of tenants: E.164, each once in the whole database. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";

export interface PhoneNumber {
  readonly id: string;
  /** E.164. */
  readonly number: string;
  /** Who answers it; null while nobody does. */
  readonly agentId: string | null;
}

/** False when the number is taken, by this tenant or by another. */
export async function insertPhoneNumber(
  sql: Sql,
  tenantId: string,
  phoneNumber: PhoneNumber,
): Promise<boolean> {
  const { id, number, agentId } = phoneNumber;
  const rows = await sql`
    insert into phone_number (tenant_id, id, number, agent_id)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("number", id)}, ${number},
      ${agentId === null ? null : uuidOf("agent", agentId)})
    on conflict do nothing`;
  return rows.count === 1;
}

/** In the order of the numbers; `after` is the last one already seen. */
export async function listPhoneNumbers(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly after?: string },
): Promise<PhoneNumber[]> {
  return await sql<PhoneNumber[]>`
    select 'number_' || id as id, number, 'agent_' || agent_id as agent_id
    from phone_number
    where tenant_id = ${uuidOf("tenant", tenantId)} and number > ${page.after ?? ""}
    order by number
    limit ${page.limit}`;
}
