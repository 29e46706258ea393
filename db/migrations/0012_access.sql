-- Who reaches in: one pending invitation an address, operators in a tenant for a while, and all tenants' ids.

create unique index invitation_pending on invitation (tenant_id, email)
  where accepted_at is null and revoked_at is null;

-- The language models that operators let a tenant use, by name: a JSON array; null: all there are.
alter table tenant add column models jsonb;
grant update (models) on tenant to ringmaster_app;

-- An operator who acts in a tenant, for a reason that the tenant may read. As an API key, but short.
create table operator_visit (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  operator text not null, -- a prefixed id, or a name
  role text not null check (role in ('admin', 'builder', 'agent', 'viewer')),
  reason text not null,
  public_id text not null unique,
  hash bytea not null, -- HMAC-SHA-256 of the whole credential under the house's pepper
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz,
  primary key (tenant_id, id)
);
grant select, insert on operator_visit to ringmaster_app;
grant update (ended_at) on operator_visit to ringmaster_app;
alter table operator_visit enable row level security, force row level security;
create policy of_tenant on operator_visit to ringmaster_app
  using (tenant_id = any ((select app_tenants())::uuid[]));

grant select (tenant_id, id, public_id) on operator_visit to ringmaster_lookup;
create policy lookup on operator_visit for select to ringmaster_lookup using (true);
grant select (id, status, name) on tenant to ringmaster_lookup;

create function operator_visit_owner(wanted text) returns table (tenant_id uuid, id uuid)
language sql stable security definer set search_path = '' as $$
  select v.tenant_id, v.id from public.operator_visit v where v.public_id = wanted
$$;

-- A page of all tenants, newest first, for operators. Null: any status, any name, from the newest.
create function tenants_of_house(
  wanted_status text, wanted_name text, before uuid, wanted_count integer
) returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  select t.id from public.tenant t
  where (wanted_status is null or t.status = wanted_status)
    and (wanted_name is null or position(lower(wanted_name) in lower(t.name)) > 0)
    and (before is null or t.id < before)
  order by t.id desc
  limit least(wanted_count, 500)
$$;

grant create on schema public to ringmaster_lookup;
alter function operator_visit_owner(text) owner to ringmaster_lookup;
alter function tenants_of_house(text, text, uuid, integer) owner to ringmaster_lookup;
revoke create on schema public from ringmaster_lookup;

revoke all on function operator_visit_owner(text) from public;
revoke all on function tenants_of_house(text, text, uuid, integer) from public;
grant execute on function operator_visit_owner(text) to ringmaster_app;
grant execute on function tenants_of_house(text, text, uuid, integer) to ringmaster_app;
