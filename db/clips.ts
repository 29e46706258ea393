/** Clips of tenants: recorded sentences, each with a name that its agents know it by. */

import { uuidOf } from "@/lib/ids.ts";
import type { ObjectStore } from "@/lib/providers/storage/storage.ts";
import type { Sql } from "./client.ts";

export interface NewClip {
  readonly id: string;
  readonly name: string;
  /** The words in it. */
  readonly text: string;
  /** Which store its sound is in. */
  readonly store: ObjectStore["provider"];
  /** Of µ-law. */
  readonly bytes: number;
}

export interface Clip extends NewClip {
  readonly createdAt: Date;
}

/** Null: the name is taken. */
export async function insertClip(
  sql: Sql,
  tenantId: string,
  { id, name, text, store, bytes }: NewClip,
): Promise<Clip | null> {
  const [clip] = await sql<Clip[]>`
    insert into clip (tenant_id, id, name, text, store, bytes)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("clip", id)}, ${name}, ${text}, ${store},
      ${bytes})
    on conflict do nothing
    returning ${columns(sql)}`;
  return clip ?? null;
}

export async function getClip(sql: Sql, tenantId: string, clipId: string): Promise<Clip | null> {
  const [clip] = await sql<Clip[]>`
    select ${columns(sql)} from clip
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("clip", clipId)}`;
  return clip ?? null;
}

/** Newest first. `before` is the id of the last one already seen: ids sort by the time they were made. */
export async function listClips(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string },
): Promise<Clip[]> {
  const { limit, before } = page;
  return await sql<Clip[]>`
    select ${columns(sql)} from clip
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${before === undefined ? sql`` : sql`and clip.id < ${uuidOf("clip", before)}`}
    order by clip.id desc
    limit ${limit}`;
}

export async function listClipsNamed(
  sql: Sql,
  tenantId: string,
  names: readonly string[],
): Promise<Clip[]> {
  if (names.length === 0) return [];
  return await sql<Clip[]>`
    select ${columns(sql)} from clip
    where tenant_id = ${uuidOf("tenant", tenantId)} and name in ${sql(names)}
    limit ${names.length}`;
}

/** All of the tenant's; the count of a transaction that holds the tenant's lock is right. */
export async function countClips(sql: Sql, tenantId: string): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int4 as count from clip where tenant_id = ${uuidOf("tenant", tenantId)}`;
  return row?.count ?? 0;
}

/** The name of an agent in use that names the clip, in what it has published or is drawing; null: none. */
export async function agentWithClip(
  sql: Sql,
  tenantId: string,
  name: string,
): Promise<string | null> {
  const tenant = uuidOf("tenant", tenantId);
  const pattern = `\\{\\{\\s*clip:${name}\\s*\\}\\}`; // a name has no sign of a pattern
  const [agent] = await sql<{ name: string }[]>`
    select a.name from agent a
    left join agent_version v
      on v.tenant_id = a.tenant_id and v.agent_id = a.id and v.number = a.published_version
    where a.tenant_id = ${tenant} and a.archived_at is null
      and (a.draft::text ~ ${pattern} or v.graph::text ~ ${pattern}
        or a.draft -> 'ambient' ->> 'clip' = ${name} or v.graph -> 'ambient' ->> 'clip' = ${name})
    limit 1`;
  return agent?.name ?? null;
}

/** False when it is not there. */
export async function deleteClip(sql: Sql, tenantId: string, clipId: string): Promise<boolean> {
  const rows = await sql`
    delete from clip
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("clip", clipId)}`;
  return rows.count === 1;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'clip_' || clip.id as id, clip.name, clip.text, clip.store, clip.bytes, clip.created_at`;
}
