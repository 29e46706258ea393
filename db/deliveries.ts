/** Deliveries: each event once for each endpoint that wants it, and every attempt at it. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export const DELIVERY_STATUSES = ["pending", "delivered", "failed", "cancelled"] as const;
/** `cancelled`: its endpoint was disabled before it came through. */
export type DeliveryStatus = typeof DELIVERY_STATUSES[number];

export interface Delivery {
  readonly id: string;
  readonly endpointId: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly status: DeliveryStatus;
  /** How many there have been. */
  readonly attempt: number;
  /** Of the next attempt; null when there will be none. */
  readonly nextAt: Date | null;
  readonly createdAt: Date;
  readonly finishedAt: Date | null;
}

/** What an attempt works with: no other can be recorded while the lease is this one. */
export interface LeasedDelivery {
  readonly tenantId: string;
  readonly id: string;
  readonly lease: string;
  /** Of the schedule; 0 is the first try. */
  readonly step: number;
  readonly endpointId: string;
  readonly url: string;
  readonly mode: "standard" | "hex";
  readonly secretSealed: Uint8Array;
  readonly previousSecretSealed: Uint8Array | null;
  readonly eventId: string;
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly at: Date;
}
type Lease = Pick<LeasedDelivery, "tenantId" | "id" | "lease">;

export interface Attempt {
  readonly at: Date;
  readonly durationMs: number;
  /** As they were sent; they hold signatures, and no secret. */
  readonly requestHeaders: Readonly<Record<string, string>>;
  /** Null: there was no answer. */
  readonly status: number | null;
  /** The beginning of the answer's body; null without an answer. */
  readonly answer: string | null;
  /** Why there was no answer; null when there was one. */
  readonly error: string | null;
}

export interface NumberedAttempt extends Attempt {
  /** From 1. */
  readonly attempt: number;
}

/**
 * Makes the deliveries of up to `limit` events that have none yet, in the order in which they were
 * written; returns how many events there were. Another machine that does so for this tenant leaves none.
 */
export async function dispatchEvents(sql: Sql, tenantId: string, limit: number): Promise<number> {
  const tenant = uuidOf("tenant", tenantId);
  const [lock] = await sql<{ isOurs: boolean }[]>`
    select pg_try_advisory_xact_lock(hashtextextended('events of ' || ${tenant}::text, 0))
      as is_ours`;
  if (!lock?.isOurs) return 0;
  const rows = await sql`
    with waiting as (
      select tenant_id, id, type, seq from outbox
      where tenant_id = ${tenant} and dispatched_at is null
      order by seq limit ${limit}
    ), made as (
      insert into delivery (tenant_id, id, endpoint_id, event_id, seq, next_at)
      select w.tenant_id, gen_random_uuid(), e.id, w.id, w.seq, app_now()
      from waiting w
      join webhook_endpoint e on e.tenant_id = w.tenant_id and e.status = 'enabled'
        and (e.events = '{}' or w.type = any (e.events))
      on conflict do nothing
    )
    update outbox o set dispatched_at = app_now() from waiting w
    where o.tenant_id = w.tenant_id and o.id = w.id`;
  return rows.count;
}

/** A delivery to one endpoint alone, of an event that is marked as dispatched; leased for `leaseMs`. */
export async function insertLeasedDelivery(
  sql: Sql,
  { tenantId, id, lease }: Lease,
  { eventId, endpointId, leaseMs }: {
    readonly eventId: string;
    readonly endpointId: string;
    readonly leaseMs: number;
  },
): Promise<void> {
  const tenant = uuidOf("tenant", tenantId);
  const event = uuidOf("event", eventId);
  await sql`
    update outbox set dispatched_at = app_now() where tenant_id = ${tenant} and id = ${event}`;
  await sql`
    insert into delivery (tenant_id, id, endpoint_id, event_id, seq, next_at, lease, lease_until)
    select tenant_id, ${uuidOf("delivery", id)}, ${uuidOf("endpoint", endpointId)}, id, seq,
      app_now(), ${lease}, app_now() + ${leaseMs}::integer * interval '1 millisecond'
    from outbox where tenant_id = ${tenant} and id = ${event}`;
}

/** Those that this lease still has, of the tenants of the transaction. */
export async function listLeasedDeliveries(
  sql: Sql,
  claimed: readonly { readonly tenantId: string; readonly id: string }[],
  lease: string,
): Promise<LeasedDelivery[]> {
  const tenants = `{${claimed.map(({ tenantId }) => uuidOf("tenant", tenantId)).join(",")}}`;
  const ids = `{${claimed.map(({ id }) => uuidOf("delivery", id)).join(",")}}`;
  return await sql<LeasedDelivery[]>`
    select 'tenant_' || d.tenant_id as tenant_id, 'delivery_' || d.id as id, d.lease, d.step,
      'endpoint_' || e.id as endpoint_id, e.url, e.mode, e.secret_sealed,
      case when e.previous_until > app_now() then e.previous_secret_sealed end
        as previous_secret_sealed,
      'event_' || o.id as event_id, o.type, o.payload, o.at
    from unnest(${tenants}::uuid[], ${ids}::uuid[]) with ordinality as claimed (tenant_id, id, place)
    join delivery d using (tenant_id, id)
    join webhook_endpoint e on e.tenant_id = d.tenant_id and e.id = d.endpoint_id
    join outbox o on o.tenant_id = d.tenant_id and o.id = d.event_id
    where d.lease = ${lease}
    order by place`;
}

/** How a delivery stands after an attempt. */
export type DeliveryEnd =
  | { readonly type: "delivered" | "failed" }
  | { readonly type: "again"; readonly delayMs: number };

/** False when the lease is no longer this attempt's: then nothing is recorded. */
export async function recordAttempt(
  sql: Sql,
  { tenantId, id, lease }: Lease,
  attempt: Attempt,
  end: DeliveryEnd,
): Promise<boolean> {
  const tenant = uuidOf("tenant", tenantId);
  const delivery = uuidOf("delivery", id);
  const delayMs = end.type === "again" ? end.delayMs : null;
  const [row] = await sql<{ attempt: number }[]>`
    update delivery set attempt = attempt + 1, lease = null, lease_until = null, step = step + 1,
      status = ${end.type === "again" ? "pending" : end.type},
      next_at = app_now() + ${delayMs}::float8 * interval '1 millisecond',
      finished_at = case when ${end.type === "again"} then null else app_now() end
    where tenant_id = ${tenant} and id = ${delivery} and lease = ${lease}
    returning attempt`;
  if (row === undefined) return false;
  await sql`
    insert into delivery_attempt (tenant_id, delivery_id, attempt, at, duration_ms,
      request_headers, status, answer, error)
    values (${tenant}, ${delivery}, ${row.attempt}, ${attempt.at},
      ${Math.round(attempt.durationMs)}, ${asJson(sql, attempt.requestHeaders)},
      ${attempt.status}, ${attempt.answer}, ${attempt.error})`;
  return true;
}

/** It can be taken again at once, as if it had not been tried. */
export async function releaseDelivery(sql: Sql, { tenantId, id, lease }: Lease): Promise<void> {
  await sql`
    update delivery set lease = null, lease_until = null
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("delivery", id)}
      and lease = ${lease}`;
}

/** What waits for an endpoint that is disabled: an attempt that is under way is not recorded either. */
export async function cancelDeliveries(
  sql: Sql,
  tenantId: string,
  endpointId: string,
): Promise<number> {
  const rows = await sql`
    update delivery set status = 'cancelled', lease = null, lease_until = null, next_at = null,
      finished_at = app_now()
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and endpoint_id = ${uuidOf("endpoint", endpointId)} and status = 'pending'`;
  return rows.count;
}

/** Newest event first. `before` is the id of the last delivery already seen. */
export async function listDeliveries(
  sql: Sql,
  tenantId: string,
  endpointId: string,
  page: {
    readonly limit: number;
    readonly before?: string | undefined;
    readonly status?: DeliveryStatus | undefined;
  },
): Promise<Delivery[]> {
  const tenant = uuidOf("tenant", tenantId);
  const { limit, before, status } = page;
  const seen = before === undefined ? null : uuidOf("delivery", before);
  return await sql<Delivery[]>`
    select ${columns(sql)}
    from delivery d join outbox o on o.tenant_id = d.tenant_id and o.id = d.event_id
    where d.tenant_id = ${tenant} and d.endpoint_id = ${uuidOf("endpoint", endpointId)}
      ${
    seen === null
      ? sql``
      : sql`and d.seq < (select seq from delivery where tenant_id = ${tenant} and id = ${seen})`
  }
      ${status === undefined ? sql`` : sql`and d.status = ${status}`}
    order by d.seq desc
    limit ${limit}`;
}

export async function getDelivery(
  sql: Sql,
  tenantId: string,
  endpointId: string,
  id: string,
): Promise<(Delivery & { readonly payload: unknown; readonly at: Date }) | null> {
  const [delivery] = await sql<(Delivery & { payload: unknown; at: Date })[]>`
    select ${columns(sql)}, o.payload, o.at
    from delivery d join outbox o on o.tenant_id = d.tenant_id and o.id = d.event_id
    where d.tenant_id = ${uuidOf("tenant", tenantId)} and d.id = ${uuidOf("delivery", id)}
      and d.endpoint_id = ${uuidOf("endpoint", endpointId)}`;
  return delivery ?? null;
}

/** The latest `limit`, oldest first. */
export async function listAttempts(
  sql: Sql,
  tenantId: string,
  deliveryId: string,
  limit: number,
): Promise<NumberedAttempt[]> {
  const latest = await sql<NumberedAttempt[]>`
    select attempt, at, duration_ms, request_headers, status, answer, error
    from delivery_attempt
    where tenant_id = ${uuidOf("tenant", tenantId)}
      and delivery_id = ${uuidOf("delivery", deliveryId)}
    order by attempt desc
    limit ${limit}`;
  return latest.reverse();
}

/** It is sent again, with its schedule from the start. False when it is not there, or is pending. */
export async function replayDelivery(
  sql: Sql,
  tenantId: string,
  endpointId: string,
  id: string,
): Promise<boolean> {
  const rows = await sql`
    update delivery set ${anew(sql)}
    where tenant_id = ${uuidOf("tenant", tenantId)} and id = ${uuidOf("delivery", id)}
      and endpoint_id = ${uuidOf("endpoint", endpointId)} and status <> 'pending'`;
  return rows.count === 1;
}

/**
 * All events of a time that the endpoint wants now are sent to it again, also those that it has had,
 * and those that came while it was disabled. Returns how many: `limit` at most, the oldest first.
 */
export async function replayDeliveries(
  sql: Sql,
  tenantId: string,
  endpointId: string,
  { from, to, limit }: { readonly from: Date; readonly to: Date; readonly limit: number },
): Promise<number> {
  const rows = await sql`
    insert into delivery as d (tenant_id, id, endpoint_id, event_id, seq, next_at)
    select o.tenant_id, gen_random_uuid(), e.id, o.id, o.seq, app_now()
    from webhook_endpoint e
    join outbox o on o.tenant_id = e.tenant_id and o.at >= ${from} and o.at < ${to}
      and o.type <> 'webhook.test' and o.dispatched_at is not null
      and (e.events = '{}' or o.type = any (e.events))
    where e.tenant_id = ${uuidOf("tenant", tenantId)} and e.id = ${uuidOf("endpoint", endpointId)}
      and not exists (select 1 from delivery p where p.tenant_id = e.tenant_id
        and p.endpoint_id = e.id and p.event_id = o.id and p.status = 'pending')
    order by o.seq
    limit ${limit}
    on conflict (tenant_id, endpoint_id, event_id) do update set ${anew(sql)}
    where d.status <> 'pending'`;
  return rows.count;
}

function anew(sql: Sql): ReturnType<Sql> {
  return sql`status = 'pending', step = 0, next_at = app_now(), lease = null, lease_until = null,
    finished_at = null`;
}

function columns(sql: Sql): ReturnType<Sql> {
  return sql`'delivery_' || d.id as id, 'endpoint_' || d.endpoint_id as endpoint_id,
    'event_' || d.event_id as event_id, o.type as event_type, d.status, d.attempt,
    case when d.status = 'pending' then d.next_at end as next_at, d.created_at, d.finished_at`;
}
