/** Claims: how a machine takes work of whichever tenant, and which ticks it runs. In `Database.lookup`. */

import { uuidOf } from "@/lib/ids.ts";
import type { Sql } from "./client.ts";
import { asJson } from "./json.ts";

export interface Claimed {
  readonly tenantId: string;
  readonly id: string;
}

export interface JobClaim {
  /** A UUID: the lease of all that is taken now. */
  readonly lease: string;
  /** How many are taken at most. */
  readonly room: number;
  /** Of each kind, how many more may be taken, and how long they are leased for. Other kinds are left alone. */
  readonly kinds: Readonly<Record<string, { readonly room: number; readonly leaseMs: number }>>;
  /** The tenant of each job that is under way here: as often as it has jobs. */
  readonly busy: readonly string[];
  /** Of one tenant, with those that are under way. */
  readonly tenantMax: number;
  /** The tenant whose turn was last; null: none has had one. */
  readonly lastServed: string | null;
}

/** Jobs that are due, of one tenant after the other; their leases are committed with the transaction. */
export async function claimJobs(sql: Sql, claim: JobClaim): Promise<Claimed[]> {
  const busy = `{${claim.busy.map((tenantId) => uuidOf("tenant", tenantId)).join(",")}}`;
  const last = claim.lastServed === null ? null : uuidOf("tenant", claim.lastServed);
  return await sql<Claimed[]>`
    select 'tenant_' || tenant_id as tenant_id, 'job_' || id as id
    from claim_jobs(${claim.lease}, ${claim.room}, ${asJson(sql, claim.kinds)}, ${busy}::uuid[],
      ${claim.tenantMax}, ${last})`;
}

/** Tenants with events of which no deliveries have been made yet, in turn. */
export async function tenantsToDispatch(
  sql: Sql,
  { lastServed, limit }: { readonly lastServed: string | null; readonly limit: number },
): Promise<string[]> {
  const last = lastServed === null ? null : uuidOf("tenant", lastServed);
  const rows = await sql<{ id: string }[]>`
    select 'tenant_' || tenant_id as id from tenants_to_dispatch(${last}, ${limit})`;
  return rows.map(({ id }) => id);
}

export interface DeliveryClaim {
  /** A UUID: the lease of all that is taken now. */
  readonly lease: string;
  readonly room: number;
  readonly leaseMs: number;
  /** Of one tenant, on all machines together. */
  readonly tenantMax: number;
  readonly lastServed: string | null;
}

/** Deliveries that are due, of one tenant after the other; their leases are committed with the transaction. */
export async function claimDeliveries(sql: Sql, claim: DeliveryClaim): Promise<Claimed[]> {
  const last = claim.lastServed === null ? null : uuidOf("tenant", claim.lastServed);
  return await sql<Claimed[]>`
    select 'tenant_' || tenant_id as tenant_id, 'delivery_' || id as id
    from claim_deliveries(${claim.lease}, ${claim.room}, ${claim.leaseMs}, ${claim.tenantMax},
      ${last})`;
}

/** `taken`: another machine runs it now. */
export type TickClaim = "claimed" | "taken" | "done";

export interface Tick {
  readonly kind: string;
  readonly at: Date;
  /** A UUID. */
  readonly lease: string;
}

/**
 * The first that asks runs it; the next one when that one's lease has ended and it was not done. Of a
 * kind that has never been asked for, the tick that is past counts as done: it begins with the next.
 */
export async function claimTick(sql: Sql, tick: Tick, leaseMs: number): Promise<TickClaim> {
  const first = await sql`
    insert into cron_tick (kind, tick, lease, lease_until, done_at)
    select ${tick.kind}, ${tick.at}, ${tick.lease}, app_now(), app_now()
    where not exists (select 1 from cron_tick where kind = ${tick.kind})
    on conflict do nothing`;
  if (first.count === 1) return "done";
  const rows = await sql`
    insert into cron_tick as t (kind, tick, lease, lease_until)
    values (${tick.kind}, ${tick.at}, ${tick.lease},
      app_now() + ${leaseMs}::integer * interval '1 millisecond')
    on conflict (kind, tick) do update
    set lease = excluded.lease, lease_until = excluded.lease_until
    where t.done_at is null and t.lease_until <= app_now()`;
  if (rows.count === 1) return "claimed";
  const [row] = await sql<{ isDone: boolean }[]>`
    select done_at is not null as is_done from cron_tick
    where kind = ${tick.kind} and tick = ${tick.at}`;
  return row?.isDone ? "done" : "taken";
}

/** It is done for all machines, and what came before it is forgotten. */
export async function updateTickDone(sql: Sql, tick: Tick): Promise<void> {
  await sql`
    update cron_tick set done_at = app_now()
    where kind = ${tick.kind} and tick = ${tick.at} and lease = ${tick.lease}`;
  await sql`delete from cron_tick where kind = ${tick.kind} and tick < ${tick.at}`;
}
