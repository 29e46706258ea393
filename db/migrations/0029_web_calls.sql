-- A page that comes back to a call whose machine is gone shows what nobody else can: whose call it is.
grant select (carrier, carrier_call_id) on call to ringmaster_lookup;

create function web_call_owner(wanted uuid, shown text) returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  select c.tenant_id from public.call c
  where c.id = wanted and c.status <> 'ended' and c.carrier = 'web' and c.carrier_call_id = shown
$$;

grant create on schema public to ringmaster_lookup;
alter function web_call_owner(uuid, text) owner to ringmaster_lookup;
revoke create on schema public from ringmaster_lookup;
revoke all on function web_call_owner(uuid, text) from public;
grant execute on function web_call_owner(uuid, text) to ringmaster_app;
