/**
 * Who wrote what of calls, by the database itself: triggers note each claim of a call, and at the commit of each
 * write who owned the call by then. Machines are told apart by the `application_name` of their URL, so that
 * nothing of what they believe of themselves is trusted.
 */

import type { Database, Sql } from "@/db/client.ts";

const QUERY_MS = 10_000;

/** To be shown by each process of its own. */
export function witnessed(databaseUrl: string, writer: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.set("application_name", writer);
  return url.href;
}

/** Once, on a database with its schema. */
export async function watchWrites(database: Database): Promise<void> {
  await database.asOwner(QUERY_MS, async (sql) => {
    await sql.unsafe(TABLES).simple();
    await sql.unsafe(NOTES).simple();
    await sql.unsafe(TRIGGERS).simple();
  });
}

const TABLES = `
  create schema witness;
  create table witness.claim (
    nth bigserial primary key, id text not null, epoch bigint not null, writer text not null);
  create index on witness.claim (id, epoch);
  create table witness.write (
    nth bigserial primary key, call_id text not null, what text not null, seq integer,
    writer text not null, epoch bigint, owner text)`;

/** They run as who made them: the application's role may not look at the house's own tables. */
const NOTES = `
  create function witness.claimed() returns trigger language plpgsql
  security definer set search_path = '' as $$
  begin
    insert into witness.claim (id, epoch, writer)
    values (new.id, new.epoch, current_setting('application_name'));
    return null;
  end $$;

  create function witness.note(call uuid, what text, seq integer) returns void language sql
  security definer set search_path = '' as $$
    insert into witness.write (call_id, what, seq, writer, epoch, owner)
    select 'call_' || call, what, seq, current_setting('application_name'), owned.epoch,
      (select c.writer from witness.claim c
        where c.id = owned.id and c.epoch = owned.epoch order by c.nth desc limit 1)
    from (select) as always left join (
      select o.id, o.epoch from public.actor_owner o
      where o.kind = 'call' and o.id = 'call_' || call and o.node_id is not null) owned on true
  $$;

  create function witness.event_written() returns trigger language plpgsql
  security definer set search_path = '' as $$
  begin
    perform witness.note(new.conversation_id, new.type, new.seq);
    return null;
  end $$;

  create function witness.call_changed() returns trigger language plpgsql
  security definer set search_path = '' as $$
  begin
    perform witness.note(new.id, 'status ' || new.status, null);
    return null;
  end $$`;

/** Deferred: they look at the owner when all else of the transaction is done. */
const TRIGGERS = `
  create trigger witness after insert on actor_owner for each row
    when (new.kind = 'call') execute function witness.claimed();
  create trigger witness_next after update of epoch on actor_owner for each row
    when (new.kind = 'call' and new.epoch <> old.epoch) execute function witness.claimed();
  create constraint trigger witness after insert on conversation_event
    deferrable initially deferred for each row execute function witness.event_written();
  create constraint trigger witness after update of status on call
    deferrable initially deferred for each row
    when (new.status <> old.status) execute function witness.call_changed()`;

/** Writes of those who did not own the call, or came after a later owner's: I1 of `db/cluster.ts` says there are none. */
export interface StaleWrite {
  readonly callId: string;
  readonly what: string;
  readonly seq: number | null;
  readonly writer: string;
  readonly epoch: number | null;
  readonly owner: string | null;
}

const LISTED_MAX = 1_000;

export async function staleWrites(database: Database): Promise<readonly StaleWrite[]> {
  return await database.asOwner(QUERY_MS, async (sql) => await listStale(sql));
}

/** By the order in which they were written as well as by that of the events themselves. */
async function listStale(sql: Sql): Promise<StaleWrite[]> {
  return await sql<StaleWrite[]>`
    with ordered as (
      select call_id, what, seq, writer, epoch, owner, nth,
        max(epoch) over (partition by call_id order by nth) as reached,
        case when seq is not null then
          max(epoch) over (partition by call_id, seq is null order by seq) end as reached_by_seq
      from witness.write)
    select call_id, what, seq, writer, epoch::int, owner from ordered
    where owner is distinct from writer or epoch < reached or epoch < reached_by_seq
    order by nth limit ${LISTED_MAX}`;
}

/** How many writes it has seen. */
export async function countWrites(database: Database): Promise<number> {
  return await database.asOwner(QUERY_MS, async (sql) => {
    const [row] = await sql<{ writes: number }[]>`
      select count(*)::int as writes from witness.write`;
    return row?.writes ?? 0;
  });
}
