/** The look-ups: what finds a tenant before one is known. In `Database.lookup`, and ids are all they return. */

import type { Sql } from "./client.ts";

/** Whose number this is (E.164), and the agent that answers it; null when it is nobody's here. */
export async function numberOwner(
  sql: Sql,
  number: string,
): Promise<{ readonly tenantId: string; readonly agentId: string | null } | null> {
  const [owner] = await sql<{ tenantId: string; agentId: string | null }[]>`
    select 'tenant_' || tenant_id as tenant_id, 'agent_' || agent_id as agent_id
    from number_owner(${number})`;
  return owner ?? null;
}
