/** Agents and their versions: a version is a graph that never changes, and one of them is published. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export interface Agent {
  readonly id: string;
  readonly name: string;
  /** The number of the version that answers calls; null while none does. */
  readonly publishedVersion: number | null;
}

export interface AgentVersion<Graph> {
  readonly agentId: string;
  readonly number: number;
  readonly graph: Graph;
}

/** Inserting one twice changes nothing. */
export async function insertAgent(
  sql: Sql,
  tenantId: string,
  agent: { readonly id: string; readonly name: string },
): Promise<void> {
  await sql`
    insert into agent (tenant_id, id, name)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("agent", agent.id)}, ${agent.name})
    on conflict (tenant_id, id) do nothing`;
}

export async function getAgent(sql: Sql, tenantId: string, agentId: string): Promise<Agent | null> {
  const [agent] = await sql<Agent[]>`
    select 'agent_' || id as id, name, published_version
    from agent
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("agent", agentId)}`;
  return agent ?? null;
}

/**
 * Stores a graph as the agent's next version and publishes it; returns its number, or null when there
 * is no such agent. The same version id again returns the number it got. The graph must be checked.
 */
export async function publishAgentVersion(
  sql: Sql,
  tenantId: string,
  version: { readonly id: string; readonly agentId: string; readonly graph: unknown },
): Promise<number | null> {
  const tenant = uuidOf("tenant", tenantId);
  const agent = uuidOf("agent", version.agentId);
  const id = uuidOf("version", version.id);
  // The agent's row is locked, so that two publishers take two numbers.
  const [found] = await sql`
    select 1 from agent where tenant_id = ${tenant} and id = ${agent} for update`;
  if (!found) return null;
  await sql`
    insert into agent_version (tenant_id, id, agent_id, number, graph)
    select ${tenant}, ${id}, ${agent}, coalesce(max(number), 0) + 1, ${asJson(sql, version.graph)}
    from agent_version
    where tenant_id = ${tenant} and agent_id = ${agent}
    on conflict (tenant_id, id) do nothing`;
  const [published] = await sql<{ number: number }[]>`
    update agent set published_version = greatest(published_version, v.number)
    from agent_version v
    where agent.tenant_id = ${tenant} and agent.id = ${agent}
      and v.tenant_id = ${tenant} and v.id = ${id} and v.agent_id = ${agent}
    returning v.number`;
  return published?.number ?? null;
}

/** `parse` checks the stored graph, and throws when it is not one. */
export async function getAgentVersion<Graph>(
  sql: Sql,
  tenantId: string,
  agentId: string,
  number: number,
  parse: (json: unknown) => Graph,
): Promise<AgentVersion<Graph> | null> {
  const [version] = await sql<AgentVersion<unknown>[]>`
    select 'agent_' || agent_id as agent_id, number, graph
    from agent_version
    where tenant_id = ${uuidOf("tenant", tenantId)} and agent_id = ${uuidOf("agent", agentId)}
      and number = ${number}`;
  return version ? { ...version, graph: parse(version.graph) } : null;
}

/** The version that answers the agent's calls; null when there is no such agent, or none is published. */
export async function getPublishedVersion<Graph>(
  sql: Sql,
  tenantId: string,
  agentId: string,
  parse: (json: unknown) => Graph,
): Promise<AgentVersion<Graph> | null> {
  const agent = await getAgent(sql, tenantId, agentId);
  if (!agent || agent.publishedVersion === null) return null;
  return await getAgentVersion(sql, tenantId, agentId, agent.publishedVersion, parse);
}
