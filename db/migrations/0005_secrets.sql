-- What tenants entrust to us, sealed under a key of their own.

-- A tenant's data keys, each wrapped by the house's key-encryption key of that name.
create table tenant_key (
  tenant_id uuid not null references tenant (id),
  version integer not null check (version > 0),
  wrapped bytea not null,
  kek text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, version)
);

-- A provider's credential. `masked` is what may be read back; `sealed` is a JSON object of its fields.
create table credential (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  provider text not null,
  name text not null,
  sealed bytea not null,
  masked jsonb not null,
  version integer not null default 1,
  status text not null check (status in ('unchecked', 'valid', 'refused')),
  checked_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, provider, name)
);

grant select, insert on tenant_key, credential to ringmaster_app;
grant update (wrapped, kek), delete on tenant_key to ringmaster_app;
grant update (name, sealed, masked, version, status, checked_at, updated_at), delete on credential
  to ringmaster_app;

do $$
declare
  t text;
begin
  foreach t in array array['tenant_key', 'credential']
  loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format(
      'create policy of_tenant on %I to ringmaster_app
         using (tenant_id = any ((select app_tenants())::uuid[]))', t);
  end loop;
end $$;

-- The house's secrets are sealed anew when its key-encryption key is rotated.
grant update (private_sealed) on signing_key to ringmaster_app;

-- Look-ups: the version says how old what is cached of the tenant may be.

grant select (id, config_version) on tenant to ringmaster_lookup;
create policy lookup on tenant for select to ringmaster_lookup using (true);
grant select (tenant_id, kek) on tenant_key to ringmaster_lookup;
create policy lookup on tenant_key for select to ringmaster_lookup using (true);

-- Whose number this is, the agent that answers it, and the version of its tenant.
create function number_route(wanted text)
returns table (tenant_id uuid, agent_id uuid, config_version bigint)
language sql stable security definer set search_path = '' as $$
  select p.tenant_id, p.agent_id, t.config_version
  from public.phone_number p join public.tenant t on t.id = p.tenant_id
  where p.number = wanted
$$;

-- Of one tenant: its version, whether this number is its own, and the agent that answers it.
create function tenant_route(wanted uuid, called text)
returns table (config_version bigint, is_own boolean, agent_id uuid)
language sql stable security definer set search_path = '' as $$
  select t.config_version, p.number is not null, p.agent_id
  from public.tenant t
  left join public.phone_number p on p.tenant_id = t.id and p.number = called
  where t.id = wanted
$$;

-- Tenants with a data key that this key-encryption key does not wrap, by id.
create function tenants_not_wrapped_by(wanted text, after uuid, most integer)
returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  select distinct k.tenant_id from public.tenant_key k
  where k.kek <> wanted and (after is null or k.tenant_id > after)
  order by k.tenant_id limit most
$$;

grant create on schema public to ringmaster_lookup;
do $$
declare
  f text;
begin
  foreach f in array array['number_route(text)', 'tenant_route(uuid, text)',
    'tenants_not_wrapped_by(text, uuid, integer)']
  loop
    execute format('alter function %s owner to ringmaster_lookup', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to ringmaster_app', f);
  end loop;
end $$;
revoke create on schema public from ringmaster_lookup;
