/** Recordings that LiveKit makes of a tenant's rooms, and its webhooks that have been taken. */

import { newId, uuidOf } from "@/lib/ids.ts";
import type { Egress, EgressFile, EgressStatus } from "@/lib/providers/livekit/livekit.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export interface StoredEgress {
  readonly id: string;
  readonly livekitId: string;
  /** As the tenant calls it. */
  readonly room: string;
  readonly status: EgressStatus;
  readonly error: string | null;
  readonly files: readonly EgressFile[];
  /** Null: nobody here did. */
  readonly startedBy: string | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

/** A status of a later stage is the newer one, whatever comes first; the last stage is final. */
const STAGE_OF = {
  starting: 1,
  active: 2,
  ending: 3,
  complete: 4,
  failed: 4,
  aborted: 4,
  limit_reached: 4,
} as const satisfies Record<EgressStatus, number>;
const FINAL_STAGE = 4;

export function isFinal(status: EgressStatus): boolean {
  return STAGE_OF[status] === FINAL_STAGE;
}

/**
 * Stores what is known of a recording: what is older than what is stored changes nothing. Null: nothing was
 * changed. `room` is the tenant's own name of it; `startedBy` null keeps who is known.
 */
export async function storeEgress(
  sql: Sql,
  tenantId: string,
  egress: Egress,
  { room, startedBy }: { readonly room: string; readonly startedBy: string | null },
): Promise<StoredEgress | null> {
  const stage = STAGE_OF[egress.status];
  const [row] = await sql<StoredEgress[]>`
    insert into livekit_egress (tenant_id, id, livekit_id, room, status, stage, error, files,
      updated_ns, started_by, started_at, ended_at)
    values (${uuidOf("tenant", tenantId)}, ${uuidOf("egress", newId("egress"))},
      ${egress.livekitId}, ${room}, ${egress.status}, ${stage}, ${egress.error || null},
      ${asJson(sql, egress.files)}, ${String(egress.updatedNs)}::text::bigint, ${startedBy},
      ${egress.startedAt}, ${egress.endedAt})
    on conflict (tenant_id, livekit_id) do update
    set status = excluded.status, stage = excluded.stage, error = excluded.error,
      files = excluded.files, updated_ns = excluded.updated_ns,
      started_at = coalesce(excluded.started_at, livekit_egress.started_at),
      ended_at = coalesce(excluded.ended_at, livekit_egress.ended_at)
    where livekit_egress.stage < excluded.stage
      or (livekit_egress.stage = excluded.stage and excluded.stage < ${FINAL_STAGE}
        and livekit_egress.updated_ns < excluded.updated_ns)
    returning ${columns(sql)}`;
  return row ?? null;
}

/** Says who began a recording, which a webhook may have told of first. */
export async function updateEgressStarter(
  sql: Sql,
  tenantId: string,
  { livekitId, startedBy }: { readonly livekitId: string; readonly startedBy: string },
): Promise<StoredEgress | null> {
  const [row] = await sql<StoredEgress[]>`
    update livekit_egress set started_by = ${startedBy}
    where tenant_id = ${uuidOf("tenant", tenantId)} and livekit_id = ${livekitId}
    returning ${columns(sql)}`;
  return row ?? null;
}

export async function getEgress(
  sql: Sql,
  tenantId: string,
  id: string,
): Promise<StoredEgress | null> {
  const [row] = await sql<StoredEgress[]>`
    select ${columns(sql)} from livekit_egress
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("egress", id)}`;
  return row ?? null;
}

/** Newest first. `before` is the id of the last one already seen. */
export async function listEgresses(
  sql: Sql,
  tenantId: string,
  page: { readonly limit: number; readonly before?: string },
): Promise<StoredEgress[]> {
  const { limit, before } = page;
  return await sql<StoredEgress[]>`
    select ${columns(sql)} from livekit_egress
    where tenant_id = ${uuidOf("tenant", tenantId)}
      ${before === undefined ? sql`` : sql`and livekit_egress.id < ${uuidOf("egress", before)}`}
    order by livekit_egress.id desc
    limit ${limit}`;
}

/** What is stored of recordings whose rooms or files hold this number (E.164). */
export async function eraseEgresses(sql: Sql, tenantId: string, number: string): Promise<number> {
  const pattern = `(^|[^0-9])${number.slice(1)}([^0-9]|$)`;
  const erased = await sql`
    delete from livekit_egress
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and (room ~ ${pattern} or files::text ~ ${pattern} or error ~ ${pattern})`;
  return erased.count;
}

/** LiveKit tells an event again for some minutes where it was not answered. */
const TOLD_AGAIN_MS = 24 * 3_600_000;
/** Events that are forgotten whenever another comes. */
const FORGOTTEN_MAX = 100;

/** False: it has been taken already. */
export async function takeLiveKitEvent(
  sql: Sql,
  tenantId: string,
  { id, now }: { readonly id: string; readonly now: Date },
): Promise<boolean> {
  const tenant = uuidOf("tenant", tenantId);
  const before = new Date(now.getTime() - TOLD_AGAIN_MS);
  await sql`
    delete from livekit_event
    where tenant_id = ${tenant} and id in (
      select id from livekit_event where tenant_id = ${tenant} and at < ${before}
      order by at limit ${FORGOTTEN_MAX})`;
  const taken = await sql`
    insert into livekit_event (tenant_id, id, at) values (${tenant}, ${id}, ${now})
    on conflict do nothing`;
  return taken.count === 1;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'egress_' || livekit_egress.id as id, livekit_egress.livekit_id, livekit_egress.room,
    livekit_egress.status, livekit_egress.error, livekit_egress.files, livekit_egress.started_by,
    livekit_egress.created_at, livekit_egress.started_at, livekit_egress.ended_at`;
}
