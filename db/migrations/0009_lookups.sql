-- Look-ups by what an outsider shows: an e-mail address, a token, a key. They return ids only.

grant select (id, email) on person to ringmaster_lookup;
grant select (person_id, session_id, hash) on refresh_token to ringmaster_lookup;
grant select (person_id, hash) on password_reset to ringmaster_lookup;
grant select (tenant_id, id, token_hash) on invitation to ringmaster_lookup;
grant select (tenant_id, id, public_id) on api_key to ringmaster_lookup;
grant select (tenant_id, id, person_id) on member to ringmaster_lookup;

do $$
declare
  t text;
begin
  foreach t in array array['person', 'refresh_token', 'password_reset', 'invitation', 'api_key',
    'member']
  loop
    execute format('create policy lookup on %I for select to ringmaster_lookup using (true)', t);
  end loop;
end $$;

create function person_by_email(wanted text) returns table (person_id uuid)
language sql stable security definer set search_path = '' as $$
  select p.id from public.person p where p.email = lower(wanted)
$$;

create function refresh_token_owner(wanted bytea) returns table (person_id uuid, session_id uuid)
language sql stable security definer set search_path = '' as $$
  select r.person_id, r.session_id from public.refresh_token r where r.hash = wanted
$$;

create function password_reset_owner(wanted bytea) returns table (person_id uuid)
language sql stable security definer set search_path = '' as $$
  select r.person_id from public.password_reset r where r.hash = wanted
$$;

create function invitation_owner(wanted bytea) returns table (tenant_id uuid, id uuid)
language sql stable security definer set search_path = '' as $$
  select i.tenant_id, i.id from public.invitation i where i.token_hash = wanted
$$;

create function api_key_owner(wanted text) returns table (tenant_id uuid, id uuid)
language sql stable security definer set search_path = '' as $$
  select k.tenant_id, k.id from public.api_key k where k.public_id = wanted
$$;

-- The tenants that a person is a member of, and as which member.
create function person_tenants(wanted uuid) returns table (tenant_id uuid, id uuid)
language sql stable security definer set search_path = '' as $$
  select m.tenant_id, m.id from public.member m where m.person_id = wanted
$$;

grant create on schema public to ringmaster_lookup;
do $$
declare
  f text;
begin
  foreach f in array array['person_by_email(text)', 'refresh_token_owner(bytea)',
    'password_reset_owner(bytea)', 'invitation_owner(bytea)', 'api_key_owner(text)',
    'person_tenants(uuid)']
  loop
    execute format('alter function %s owner to ringmaster_lookup', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to ringmaster_app', f);
  end loop;
end $$;
revoke create on schema public from ringmaster_lookup;
