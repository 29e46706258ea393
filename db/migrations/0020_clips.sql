-- Recorded sentences of a tenant's agents; their sound is in a store of objects.

create table clip (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  name text not null,
  text text not null, -- the words in it
  store text not null check (store in ('files', 's3', 'memory')),
  bytes integer not null, -- of µ-law
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);

grant select, insert, delete on clip to ringmaster_app;

alter table clip enable row level security, force row level security;
create policy of_tenant on clip to ringmaster_app
  using (tenant_id = any ((select app_tenants())::uuid[]));
