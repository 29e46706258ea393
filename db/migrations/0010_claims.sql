-- Claims: how a machine takes work of whichever tenant. They return ids only; the work is done as the tenant.

-- The time that leases and schedules go by: the database's, which all machines share. Tests set their own.
create function app_now() returns timestamptz language sql stable parallel safe as $$
  select coalesce(nullif(current_setting('app.now', true), '')::timestamptz, now())
$$;

grant select (tenant_id, id, kind, status, run_at, attempt, lease, lease_until),
  update (status, attempt, lease, lease_until) on job to ringmaster_lookup;
create policy lookup on job to ringmaster_lookup using (true);

-- Takes up to `room` due jobs for `worker`, one a tenant in turn, beginning after the tenant that was
-- served last; never more than `tenant_max` of one tenant together with its jobs in `busy` (a tenant's id
-- for each job that the machine has under way). `kinds`: for each kind how many more of it the machine
-- takes, and for how long: {"kind": {"room": 4, "leaseMs": 60000}}; others are left to who knows them.
create function claim_jobs(worker uuid, room integer, kinds jsonb, busy uuid[], tenant_max integer,
  last_served uuid) returns table (tenant_id uuid, id uuid)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  at constant timestamptz := public.app_now();
  tenants uuid[];
  served uuid[];
  tenant uuid;
  head record;
begin
  tenants := array(
    with recursive walk (tenant_id) as (
      (select j.tenant_id from public.job j where j.status in ('queued', 'running')
        order by j.tenant_id limit 1)
      union all
      select (select j.tenant_id from public.job j
        where j.status in ('queued', 'running') and j.tenant_id > w.tenant_id
        order by j.tenant_id limit 1)
      from walk w where w.tenant_id is not null
    )
    select w.tenant_id from walk w where w.tenant_id is not null
    order by w.tenant_id <= last_served, w.tenant_id);

  while room > 0 and cardinality(tenants) > 0 loop
    served := '{}';
    foreach tenant in array tenants loop
      exit when room = 0;
      continue when cardinality(array_positions(busy, tenant)) >= tenant_max;
      select c.id, c.kind into head
      from jsonb_each(kinds) k
      cross join lateral (
        select j.id, j.kind, coalesce(j.lease_until, j.run_at) as due from public.job j
        where j.tenant_id = tenant and j.kind = k.key and j.status in ('queued', 'running')
          and coalesce(j.lease_until, j.run_at) <= at
        order by coalesce(j.lease_until, j.run_at), j.id limit 1
        for update skip locked
      ) c
      where (k.value ->> 'room')::integer > 0
      order by c.due limit 1;
      continue when head.id is null;

      update public.job j set status = 'running', attempt = j.attempt + 1, lease = worker,
        lease_until = at + (kinds -> head.kind ->> 'leaseMs')::integer * interval '1 millisecond'
      where j.tenant_id = tenant and j.id = head.id;
      kinds := jsonb_set(kinds, array[head.kind, 'room'],
        to_jsonb((kinds -> head.kind ->> 'room')::integer - 1));
      busy := busy || tenant;
      served := served || tenant;
      room := room - 1;
      return query select tenant, head.id;
    end loop;
    tenants := served;
  end loop;
end $$;

grant select (tenant_id, seq, dispatched_at) on outbox to ringmaster_lookup;
create policy lookup on outbox for select to ringmaster_lookup using (true);
grant select (tenant_id, id, status, slow_until) on webhook_endpoint to ringmaster_lookup;
create policy lookup on webhook_endpoint for select to ringmaster_lookup using (true);
grant select (tenant_id, id, endpoint_id, status, seq, step, next_at, lease, lease_until),
  update (lease, lease_until) on delivery to ringmaster_lookup;
create policy lookup on delivery to ringmaster_lookup using (true);

-- Tenants with events of which no deliveries have been made yet, in turn.
create function tenants_to_dispatch(last_served uuid, most integer) returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  with recursive walk (tenant_id) as (
    (select o.tenant_id from public.outbox o where o.dispatched_at is null
      order by o.tenant_id limit 1)
    union all
    select (select o.tenant_id from public.outbox o
      where o.dispatched_at is null and o.tenant_id > w.tenant_id
      order by o.tenant_id limit 1)
    from walk w where w.tenant_id is not null
  )
  select w.tenant_id from walk w where w.tenant_id is not null
  order by w.tenant_id <= last_served, w.tenant_id limit most
$$;

-- Takes up to `room` due deliveries under `taker`, of one tenant after the other, beginning after the one
-- that was served last, and never more than `tenant_max` of one tenant on all machines together. Of an
-- endpoint at most two at a time: the first try that comes next in order, and one retry beside it.
create function claim_deliveries(taker uuid, room integer, lease_ms integer, tenant_max integer,
  last_served uuid) returns table (tenant_id uuid, id uuid)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
  at constant timestamptz := public.app_now();
  tenant uuid;
  free integer;
  head uuid;
begin
  for tenant in
    with recursive walk (tenant_id) as (
      (select d.tenant_id from public.delivery d where d.status = 'pending'
        order by d.tenant_id limit 1)
      union all
      select (select d.tenant_id from public.delivery d
        where d.status = 'pending' and d.tenant_id > w.tenant_id
        order by d.tenant_id limit 1)
      from walk w where w.tenant_id is not null
    )
    select w.tenant_id from walk w where w.tenant_id is not null
    order by w.tenant_id <= last_served, w.tenant_id
  loop
    exit when room = 0;
    -- Whoever holds it counts and takes for this tenant now.
    continue when not pg_catalog.pg_try_advisory_xact_lock(
      pg_catalog.hashtextextended('deliveries of ' || tenant::text, 0));
    select tenant_max - count(*) into free from public.delivery d
    where d.tenant_id = tenant and d.status = 'pending' and d.lease is not null
      and d.lease_until > at;
    for head in
      select c.id from public.webhook_endpoint e
      cross join (values (false), (true)) lane (is_retry)
      cross join lateral (
        select d.id, d.next_at, d.seq, d.lease_until from public.delivery d
        where d.tenant_id = tenant and d.endpoint_id = e.id and d.status = 'pending'
          and (d.step > 0) = lane.is_retry
        order by d.next_at, d.seq limit 1
      ) c
      where e.tenant_id = tenant and e.status = 'enabled'
        and (e.slow_until is null or e.slow_until <= at)
        and c.next_at <= at and (c.lease_until is null or c.lease_until <= at)
      order by c.next_at, c.seq
      limit greatest(0, least(room, free))
    loop
      update public.delivery d
      set lease = taker, lease_until = at + lease_ms * interval '1 millisecond'
      where d.tenant_id = tenant and d.id = head;
      room := room - 1;
      return query select tenant, head;
    end loop;
  end loop;
end $$;

-- Which run of a pattern has been done, so that of many machines one does it.
create table cron_tick (
  kind text not null,
  tick timestamptz not null,
  lease uuid not null,
  lease_until timestamptz not null,
  done_at timestamptz,
  primary key (kind, tick)
);
grant select, insert, delete, update (lease, lease_until, done_at) on cron_tick to ringmaster_app;
alter table cron_tick enable row level security, force row level security;
create policy of_house on cron_tick to ringmaster_app using (true);

grant create on schema public to ringmaster_lookup;
do $$
declare
  f text;
begin
  foreach f in array array['claim_jobs(uuid, integer, jsonb, uuid[], integer, uuid)',
    'claim_deliveries(uuid, integer, integer, integer, uuid)', 'tenants_to_dispatch(uuid, integer)']
  loop
    execute format('alter function %s owner to ringmaster_lookup', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to ringmaster_app', f);
  end loop;
end $$;
revoke create on schema public from ringmaster_lookup;
