/** Agents and their versions: a version is a graph that never changes, and one of them is published. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export interface Agent {
  readonly id: string;
  readonly name: string;
  /** The number of the version that answers calls; null while none does. */
  readonly publishedVersion: number | null;
  /** Grows with each change of the agent or its draft. */
  readonly revision: number;
  readonly hasDraft: boolean;
  /** Whether anyone may talk to it from its page. */
  readonly isTalkPublic: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** Null while it is in use. */
  readonly archivedAt: Date | null;
}

/** A graph as it was sent: JSON, checked when it is published. */
export type Draft = Readonly<Record<string, unknown>>;

export interface DraftedAgent extends Agent {
  /** Null: nothing is being drawn. */
  readonly draft: Draft | null;
}

export interface AgentVersion<Graph> {
  readonly agentId: string;
  readonly number: number;
  readonly graph: Graph;
  readonly createdAt: Date;
}

/** Null when there is one with this id: inserting one twice changes nothing. */
export async function insertAgent(
  sql: Sql,
  tenantId: string,
  agent: {
    readonly id: string;
    readonly name: string;
    readonly draft?: Draft | null;
    readonly isTalkPublic?: boolean;
  },
): Promise<DraftedAgent | null> {
  const { id, name, draft = null, isTalkPublic = false } = agent;
  const [inserted] = await sql<DraftedAgent[]>`
    insert into agent (tenant_id, id, name, draft, is_talk_public)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("agent", id)}, ${name},
      ${draft && asJson(sql, draft)}, ${isTalkPublic})
    on conflict (tenant_id, id) do nothing
    returning ${columns(sql)}, draft`;
  return inserted ?? null;
}

export async function getAgent(sql: Sql, tenantId: string, agentId: string): Promise<Agent | null> {
  const [agent] = await sql<Agent[]>`
    select ${columns(sql)} from agent
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("agent", agentId)}`;
  return agent ?? null;
}

export async function getDraftedAgent(
  sql: Sql,
  tenantId: string,
  agentId: string,
): Promise<DraftedAgent | null> {
  const [agent] = await sql<DraftedAgent[]>`
    select ${columns(sql)}, draft from agent
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("agent", agentId)}`;
  return agent ?? null;
}

/** As `getDraftedAgent`; nobody else changes it, or gives it a number, until this transaction ends. */
export async function lockAgent(
  sql: Sql,
  tenantId: string,
  agentId: string,
): Promise<DraftedAgent | null> {
  const [agent] = await sql<DraftedAgent[]>`
    select ${columns(sql)}, draft from agent
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("agent", agentId)}
    for update`;
  return agent ?? null;
}

/** As `getAgent`; it is not archived until this transaction ends. */
export async function holdAgent(
  sql: Sql,
  tenantId: string,
  agentId: string,
): Promise<Agent | null> {
  const [agent] = await sql<Agent[]>`
    select ${columns(sql)} from agent
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("agent", agentId)}
    for share`;
  return agent ?? null;
}

/** Newest first. `before` is the id of the last one already seen: ids sort by the time they were made. */
export async function listAgents(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string; readonly isArchived: boolean },
): Promise<Agent[]> {
  const { limit, before, isArchived } = page;
  return await sql<Agent[]>`
    select ${columns(sql)} from agent
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and ${isArchived ? sql`archived_at is not null` : sql`archived_at is null`}
      ${before === undefined ? sql`` : sql`and agent.id < ${uuidOf("agent", before)}`}
    order by agent.id desc
    limit ${limit}`;
}

/** Sets name and draft, and the switch where it is given, of an agent that is not archived. Returns its revision; null: it is not there. */
export async function updateAgent(
  sql: Sql,
  tenantId: string,
  agentId: string,
  { name, draft, isTalkPublic }: {
    readonly name: string;
    readonly draft: Draft | null;
    readonly isTalkPublic?: boolean | undefined;
  },
): Promise<number | null> {
  const [agent] = await sql<{ revision: number }[]>`
    update agent set name = ${name}, draft = ${draft && asJson(sql, draft)},
      is_talk_public = ${isTalkPublic === undefined ? sql`is_talk_public` : isTalkPublic},
      revision = revision + 1, updated_at = now()
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("agent", agentId)}
      and archived_at is null
    returning revision`;
  return agent?.revision ?? null;
}

/** False when it is archived already, or not there. */
export async function updateAgentArchived(
  sql: Sql,
  tenantId: string,
  agentId: string,
  archivedAt: Date,
): Promise<boolean> {
  const rows = await sql`
    update agent set archived_at = ${archivedAt}, revision = revision + 1, updated_at = now()
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("agent", agentId)}
      and archived_at is null`;
  return rows.count === 1;
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
    select 'agent_' || agent_id as agent_id, number, graph, created_at
    from agent_version
    where tenant_id = ${uuidOf("tenant", tenantId)} and agent_id = ${uuidOf("agent", agentId)}
      and number = ${number}`;
  return version ? { ...version, graph: parse(version.graph) } : null;
}

export interface VersionFacts {
  readonly number: number;
  readonly createdAt: Date;
}

/** Without their graphs, newest first. `before` is the number of the last one already seen. */
export async function listAgentVersions(
  sql: Sql,
  tenantId: string,
  agentId: string,
  page: { readonly limit: number; readonly before?: number },
): Promise<VersionFacts[]> {
  return await sql<VersionFacts[]>`
    select number, created_at from agent_version
    where tenant_id = ${uuidOf("tenant", tenantId)} and agent_id = ${uuidOf("agent", agentId)}
      ${page.before === undefined ? sql`` : sql`and number < ${page.before}`}
    order by number desc
    limit ${page.limit}`;
}

/** The version that answers the agent's calls; null when there is no such agent in use, or none is published. */
export async function getPublishedVersion<Graph>(
  sql: Sql,
  tenantId: string,
  agentId: string,
  parse: (json: unknown) => Graph,
): Promise<AgentVersion<Graph> | null> {
  const agent = await getAgent(sql, tenantId, agentId);
  if (!agent || agent.publishedVersion === null || agent.archivedAt !== null) return null;
  return await getAgentVersion(sql, tenantId, agentId, agent.publishedVersion, parse);
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'agent_' || agent.id as id, name, published_version, revision,
    draft is not null as has_draft, is_talk_public, created_at, updated_at, archived_at`;
}
