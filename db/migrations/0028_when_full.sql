-- What callers of a number are offered while no line is free: the busy tone, a place in line, or to be called back.

alter table phone_number add column when_full text not null default 'busy'
  check (when_full in ('busy', 'wait', 'callback'));
grant update (when_full) on phone_number to ringmaster_app;
grant select (when_full) on phone_number to ringmaster_lookup;

-- As before, and that, in flags: what looks across tenants tells ids and states.
drop function number_route(text);
create function number_route(wanted text)
returns table (tenant_id uuid, agent_id uuid, config_version bigint, is_waited boolean,
  is_called_back boolean)
language sql stable security definer set search_path = '' as $$
  select p.tenant_id, p.agent_id, t.config_version, p.when_full = 'wait', p.when_full = 'callback'
  from public.phone_number p join public.tenant t on t.id = p.tenant_id
  where p.number = wanted
$$;

drop function tenant_route(uuid, text);
create function tenant_route(wanted uuid, called text)
returns table (config_version bigint, is_own boolean, agent_id uuid, is_waited boolean,
  is_called_back boolean)
language sql stable security definer set search_path = '' as $$
  select t.config_version, p.number is not null, p.agent_id, p.when_full = 'wait',
    p.when_full = 'callback'
  from public.tenant t
  left join public.phone_number p on p.tenant_id = t.id and p.number = called
  where t.id = wanted
$$;

grant create on schema public to ringmaster_lookup;
do $$
declare
  f text;
begin
  foreach f in array array['number_route(text)', 'tenant_route(uuid, text)']
  loop
    execute format('alter function %s owner to ringmaster_lookup', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to ringmaster_app', f);
  end loop;
end $$;
revoke create on schema public from ringmaster_lookup;
