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
