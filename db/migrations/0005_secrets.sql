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
