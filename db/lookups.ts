/** The look-ups: what finds a tenant before one is known. In `Database.lookup`, and ids are all they return. */

import { uuidOf } from "@/lib/ids.ts";
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

/** Whose call this is; null when there is no such call. */
export async function callTenant(sql: Sql, callId: string): Promise<string | null> {
  const [owner] = await sql<{ tenantId: string }[]>`
    select 'tenant_' || tenant_id as tenant_id from call_tenant(${uuidOf("call", callId)})`;
  return owner?.tenantId ?? null;
}
