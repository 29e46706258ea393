-- Erasure and retention: what the application's role must not delete, it deletes through these functions.

do $$ begin
  create role ringmaster_eraser nologin noinherit nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then null;
end $$;
do $$ begin
  execute format('grant ringmaster_eraser to %I', current_user);
end $$;
grant usage on schema public to ringmaster_eraser;

grant select (tenant_id, id, status), delete on call to ringmaster_eraser;
grant select (tenant_id, conversation_id), delete on conversation_event to ringmaster_eraser;
grant select, delete on audit_entry, audit_seal to ringmaster_eraser;
grant select, insert, update on audit_cut to ringmaster_eraser;
grant select (id, settings) on tenant to ringmaster_eraser;

-- The policies bind the functions too: whatever they are asked, no other tenant's row is reached.
create policy erased on tenant for select to ringmaster_eraser
  using (id = any ((select app_tenants())::uuid[]));
do $$
declare
  t text;
begin
  foreach t in array array['call', 'conversation_event', 'audit_entry', 'audit_seal', 'audit_cut']
  loop
    execute format('create policy erased on %I to ringmaster_eraser
      using (tenant_id = any ((select app_tenants())::uuid[]))', t);
  end loop;
end $$;

-- The events of these calls, but not of one that lives. Returns how many.
create function erase_events(of_tenant uuid, of_calls uuid[]) returns bigint
language sql security definer set search_path = '' as $$
  with erased as (
    delete from public.conversation_event e
    where e.tenant_id = of_tenant and e.conversation_id = any (of_calls)
      and not exists (
        select 1 from public.call c
        where c.tenant_id = of_tenant and c.id = e.conversation_id and c.status <> 'ended')
    returning 1
  )
  select count(*) from erased
$$;

-- Those of these calls that have ended. Returns how many.
create function erase_calls(of_tenant uuid, ids uuid[]) returns bigint
language sql security definer set search_path = '' as $$
  with erased as (
    delete from public.call c
    where c.tenant_id = of_tenant and c.id = any (ids) and c.status = 'ended'
    returning 1
  )
  select count(*) from erased
$$;

-- The beginning of the chain: of its first `most` entries, those before the first that is not older
-- than `older_than`, and than the tenant's own setting says by the clock of the database. Leaves a
-- cut. Returns how many.
create function cut_audit(of_tenant uuid, older_than timestamptz, most integer) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  days integer := (
    select (t.settings ->> 'auditRetentionDays')::integer from public.tenant t where t.id = of_tenant);
  horizon timestamptz := least(older_than, now() - make_interval(days => days));
  last_seq bigint;
  gone uuid[];
  removed bigint;
begin
  if days is null or days < 1 then return 0; end if;
  with oldest as (
    select s.seq, e.at >= horizon as is_kept
    from public.audit_seal s
    join public.audit_entry e on e.tenant_id = s.tenant_id and e.id = s.entry_id
    where s.tenant_id = of_tenant
    order by s.seq
    limit most
  )
  select max(o.seq) into last_seq from oldest o
  where not exists (select 1 from oldest k where k.is_kept and k.seq <= o.seq);
  if last_seq is null then return 0; end if;
  insert into public.audit_cut (tenant_id, seq, hash)
  select s.tenant_id, s.seq, s.hash from public.audit_seal s
  where s.tenant_id = of_tenant and s.seq = last_seq
  on conflict (tenant_id) do update set seq = excluded.seq, hash = excluded.hash;
  with cut as (
    delete from public.audit_seal s where s.tenant_id = of_tenant and s.seq <= last_seq
    returning s.entry_id
  )
  select array_agg(cut.entry_id) into gone from cut;
  delete from public.audit_entry e where e.tenant_id = of_tenant and e.id = any (gone);
  get diagnostics removed = row_count;
  return removed;
end $$;

grant create on schema public to ringmaster_eraser;
do $$
declare
  f text;
begin
  foreach f in array array['erase_events(uuid, uuid[])', 'erase_calls(uuid, uuid[])',
    'cut_audit(uuid, timestamptz, integer)']
  loop
    execute format('alter function %s owner to ringmaster_eraser', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to ringmaster_app', f);
  end loop;
end $$;
revoke create on schema public from ringmaster_eraser;

-- What was told of a call, and is to be done about it.
create index outbox_of_call on outbox (tenant_id, (payload ->> 'callId'));
create index job_of_call on job (tenant_id, (payload ->> 'callId'));
