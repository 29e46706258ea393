-- The look-ups: what finds a tenant before one is known. Every one is here, and returns ids only.

grant select (number, tenant_id, agent_id) on phone_number to ringmaster_lookup;
create policy lookup on phone_number for select to ringmaster_lookup using (true);

-- Whose number this is, and the agent that answers it.
create function number_owner(wanted text) returns table (tenant_id uuid, agent_id uuid)
language sql stable security definer set search_path = '' as $$
  select p.tenant_id, p.agent_id from public.phone_number p where p.number = wanted
$$;

-- A function can be given only to a role that may create in its schema.
grant create on schema public to ringmaster_lookup;
alter function number_owner(text) owner to ringmaster_lookup;
revoke create on schema public from ringmaster_lookup;

revoke all on function number_owner(text) from public;
grant execute on function number_owner(text) to ringmaster_app;
