-- Sealing by transactions: no queue beside the log, and one statement seals what all tenants have waiting.

do $$ begin
  create role ringmaster_sealer nologin noinherit nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then null;
end $$;
do $$ begin
  execute format('grant ringmaster_sealer to %I', current_user);
end $$;
grant usage on schema public to ringmaster_sealer;

-- The transaction that wrote the entry, under the hash too; 0: from before this was kept. The version
-- before this one names its columns, and so writes it as well.
alter table audit_entry add column xid xid8 not null default '0';
alter table audit_entry alter column xid set default pg_current_xact_id();

-- What waits for its seal comes next. (The owner is bound by the policies as long as they are forced.)
alter table audit_entry no force row level security;
alter table audit_unsealed no force row level security;
update audit_entry e set xid = pg_current_xact_id()
from audit_unsealed u where e.tenant_id = u.tenant_id and e.id = u.entry_id;
alter table audit_entry force row level security;
drop trigger audit_entry_inserted on audit_entry;
drop function audit_entry_inserted();

-- The sealer of the version before this one finds nothing to do; what its machines write, this one's seal.
create or replace function tenants_to_seal(after uuid, most integer) returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  select null::uuid where false
$$;
drop table audit_unsealed;

create index audit_entry_written on audit_entry (xid) where xid > '0';
-- Nothing that it refers to can be deleted but together with it, by `cut_audit`; and if it were, the
-- chain would show it. Being checked for each row, they cost as much as the rows.
alter table audit_seal drop constraint audit_seal_tenant_id_entry_id_fkey;
alter table audit_entry drop constraint audit_entry_tenant_id_fkey;

-- How far the sealer has come: each entry whose transaction `seen` sees is sealed. Without the row it
-- begins anew, and passes over what is. Of the house: one row.
create table audit_progress (
  is_only boolean primary key default true check (is_only),
  seen pg_snapshot not null
);
alter table audit_progress enable row level security, force row level security;
create policy sealed on audit_progress to ringmaster_sealer using (true);
grant select, insert, update on audit_progress to ringmaster_sealer;

alter table audit_progress no force row level security;
insert into audit_progress (seen)
values (format('%1$s:%1$s:', pg_current_xact_id())::pg_snapshot); -- all before, and not this one
alter table audit_progress force row level security;

grant select on audit_entry, audit_cut to ringmaster_sealer;
grant select, insert on audit_seal to ringmaster_sealer;
do $$
declare
  t text;
begin
  foreach t in array array['audit_entry', 'audit_seal', 'audit_cut'] loop
    execute format('create policy sealed on %I to ringmaster_sealer using (true)', t);
  end loop;
end $$;

-- Seals what has been committed and has no seal, of all tenants, in the order of transactions and ids:
-- about `most` entries, whole transactions. An entry that is committed late comes after younger ones;
-- none is passed over, since a snapshot says which transactions it has not seen. Returns how many
-- (null: another machine is at it), the new heads {"tenant": {"seq": 1, "hash": "hex"}}, whether there
-- is more, and whose chains cannot go on. The hash is that of `sealOf` in db/audit_chain.ts.
create function seal_audit(sealed_at timestamptz, most integer,
  out entries integer, out heads jsonb, out has_more boolean, out stuck uuid[])
language plpgsql security definer set search_path = ''
-- Its plans must not depend on statistics, which the embedded database does not gather.
set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_custom_plan as $$
declare
  nothing constant bytea := decode(repeat('00', 32), 'hex');
  seq_max constant bigint := 9007199254740991; -- of a number in JSON; nobody gets there in honesty
  stamp constant text := to_char(sealed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
  last pg_snapshot;
  now_seen pg_snapshot;
  scanned integer;
  is_elsewhere boolean;
  e record;
  top xid8;
  in_flight xid8[];
  tenant uuid;
  chain bytea;
  tenants uuid[] := '{}';
  seqs bigint[] := '{}';
  ids uuid[] := '{}';
  hashes bytea[] := '{}';
begin
  stuck := '{}';
  heads := '{}';
  has_more := false;
  if not pg_try_advisory_xact_lock(7446002, 0) then return; end if;
  -- In statements of their own: they see what was committed before the lock was got.
  select p.seen into last from public.audit_progress p;
  last := coalesce(last, '1:1:');
  -- Restored from a dump into another cluster, whose transactions have lower numbers: what waited has
  -- the highest ones, and from then on they are counted from the beginning.
  is_elsewhere := pg_snapshot_xmax(last) > pg_snapshot_xmax(pg_current_snapshot());

  for e in
    with now as materialized (select pg_current_snapshot() as snapshot),
    younger as materialized (
      select a.* from public.audit_entry a
      where a.xid > '0' and a.xid >= pg_snapshot_xmax(last)
        and (is_elsewhere or a.xid < pg_snapshot_xmax((select snapshot from now)))
      order by a.xid
      fetch first most rows with ties
    ),
    reached as (
      select * from younger
      union all
      select a.* from public.audit_entry a
      where a.xid > '0' and a.xid = any (array(select pg_snapshot_xip(last)))
    ),
    waiting as materialized (
      select r.* from reached r
      where (select s.seq from public.audit_seal s
        where s.tenant_id = r.tenant_id and s.entry_id = r.id) is null
    ),
    chains as materialized (
      select t.tenant_id, coalesce(s.seq, c.seq, 0) as seq, coalesce(s.hash, c.hash, nothing) as hash
      from (select distinct w.tenant_id from waiting w) t
      left join public.audit_cut c on c.tenant_id = t.tenant_id
      left join lateral (
        select s.seq, s.hash from public.audit_seal s
        where s.tenant_id = t.tenant_id order by s.seq desc limit 1
      ) s on true
    ),
    numbered as (
      select w.*, c.hash, c.seq as head,
        least(c.seq, seq_max) + row_number() over (partition by w.tenant_id order by w.xid, w.id) as seq
      from waiting w join chains c on c.tenant_id = w.tenant_id
    )
    select now.snapshot, n.tenant_id, n.id, n.head, n.seq, n.hash,
      (select count(*) from younger) as scanned,
      (select y.xid from younger y order by y.xid desc limit 1) as last_xid,
      -- What text may hold is escaped; to make the object by `row_to_json` costs half as much again.
      concat('{"action":', to_json(n.action), ',"actorId":', to_json(n.actor_id),
        ',"actorKind":', to_json(n.actor_kind), ',"address":', coalesce(to_json(n.address), 'null'),
        ',"at":"', to_char(n.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        '","details":', to_json(n.details::text), ',"id":"', n.id,
        '","requestId":', coalesce(to_json(n.request_id), 'null'), ',"sealedAt":"', stamp,
        '","seq":"', n.seq, '","subjectId":', to_json(n.subject_id),
        ',"tenantId":"', n.tenant_id, '","xid":"', n.xid, '"}') as canonical
    from now left join numbered n on true
    order by n.tenant_id, n.seq
  loop
    now_seen := e.snapshot;
    scanned := e.scanned;
    top := (e.last_xid::text::numeric + 1)::text::xid8;
    continue when e.id is null;
    if tenant is distinct from e.tenant_id then
      tenant := e.tenant_id;
      chain := e.hash;
      if e.head >= seq_max then stuck := stuck || tenant; end if;
    end if;
    continue when e.head >= seq_max;
    chain := sha256(chain || convert_to(e.canonical, 'UTF8'));
    tenants := tenants || tenant;
    seqs := seqs || e.seq;
    ids := ids || e.id;
    hashes := hashes || chain;
  end loop;

  entries := cardinality(ids);
  if scanned = 0 and entries = 0 and not is_elsewhere then return; end if;
  has_more := is_elsewhere or scanned >= most;
  if scanned >= most then
    in_flight := array(
      select x from pg_snapshot_xip(now_seen) x where x < top order by x);
    now_seen := format('%s:%s:%s', coalesce(in_flight[1], top), top,
      array_to_string(in_flight, ','))::pg_snapshot;
  elsif is_elsewhere then
    now_seen := '1:1:';
  end if;
  insert into public.audit_seal (tenant_id, seq, entry_id, hash, sealed_at)
  select row.tenant_id, row.seq, row.id, row.hash, seal_audit.sealed_at
  from unnest(tenants, seqs, ids, hashes) as row (tenant_id, seq, id, hash);
  insert into public.audit_progress (seen) values (now_seen)
  on conflict (is_only) do update set seen = excluded.seen;
  select jsonb_object_agg(h.tenant, jsonb_build_object('seq', h.seq, 'hash', encode(h.hash, 'hex')))
  into heads
  from (
    select distinct on (row.tenant) row.* from unnest(tenants, seqs, hashes) as row (tenant, seq, hash)
    order by row.tenant, row.seq desc
  ) h;
  heads := coalesce(heads, '{}');
end $$;

grant create on schema public to ringmaster_sealer;
alter function seal_audit(timestamptz, integer) owner to ringmaster_sealer;
revoke all on function seal_audit(timestamptz, integer) from public;
grant execute on function seal_audit(timestamptz, integer) to ringmaster_app;
revoke create on schema public from ringmaster_sealer;
