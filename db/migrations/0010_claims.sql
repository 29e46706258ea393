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
  foreach f in array array['claim_jobs(uuid, integer, jsonb, uuid[], integer, uuid)']
  loop
    execute format('alter function %s owner to ringmaster_lookup', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to ringmaster_app', f);
  end loop;
end $$;
revoke create on schema public from ringmaster_lookup;
