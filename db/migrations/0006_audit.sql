-- Who did what. Nothing here is ever changed: the application's role may insert and read.

create table audit_entry (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  at timestamptz not null,
  actor_kind text not null check (actor_kind in ('user', 'key', 'operator', 'system')),
  actor_id text not null, -- a prefixed id, or an operator's name
  action text not null, -- `agent.published`
  subject_id text not null, -- a prefixed id
  details jsonb not null,
  request_id text,
  address text,
  primary key (tenant_id, id)
);

create index audit_entry_newest on audit_entry (tenant_id, at, id);
create index audit_entry_of_action on audit_entry (tenant_id, action, at, id);
create index audit_entry_of_actor on audit_entry (tenant_id, actor_id, at, id);
create index audit_entry_of_subject on audit_entry (tenant_id, subject_id, at, id);

-- The chain: `hash` is SHA-256 over the previous hash and the entry, in the order of `seq`.
create table audit_seal (
  tenant_id uuid not null,
  seq bigint not null check (seq > 0),
  entry_id uuid not null,
  hash bytea not null,
  sealed_at timestamptz not null, -- under the hash too
  primary key (tenant_id, seq),
  unique (tenant_id, entry_id),
  foreign key (tenant_id, entry_id) references audit_entry (tenant_id, id)
);

-- Where a chain begins after its oldest entries were removed: `seq` and `hash` of the last one removed.
create table audit_cut (
  tenant_id uuid not null references tenant (id),
  seq bigint not null check (seq > 0),
  hash bytea not null,
  primary key (tenant_id)
);

-- What waits for its seal. A row appears when the entry's transaction commits, however late that is.
create table audit_unsealed (
  tenant_id uuid not null,
  entry_id uuid not null,
  primary key (tenant_id, entry_id)
);

create function audit_entry_inserted() returns trigger language plpgsql set search_path = '' as $$
begin
  insert into public.audit_unsealed (tenant_id, entry_id) values (new.tenant_id, new.id);
  return null;
end $$;
create trigger audit_entry_inserted after insert on audit_entry
  for each row execute function audit_entry_inserted();

-- That something was erased, and how much of it: not what.
create table erasure_receipt (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  kind text not null check (kind in ('call', 'contact')),
  subject_hash bytea not null, -- HMAC of the erased id or number
  counts jsonb not null,
  erased_by text not null,
  at timestamptz not null default now(),
  primary key (tenant_id, id)
);

grant select, insert on audit_entry, audit_seal, erasure_receipt to ringmaster_app;
grant select on audit_cut to ringmaster_app;
grant select, insert, delete on audit_unsealed to ringmaster_app;

do $$
declare
  t text;
begin
  foreach t in array array['audit_entry', 'audit_seal', 'audit_cut', 'audit_unsealed',
    'erasure_receipt']
  loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format(
      'create policy of_tenant on %I to ringmaster_app
         using (tenant_id = any ((select app_tenants())::uuid[]))', t);
  end loop;
end $$;

grant select (tenant_id) on audit_unsealed to ringmaster_lookup;
create policy lookup on audit_unsealed for select to ringmaster_lookup using (true);

-- Tenants with entries to seal, by id, after the one given. It jumps from tenant to tenant in the
-- key's index: their number is what it costs, not that of their entries.
create function tenants_to_seal(after uuid, most integer) returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  with recursive found as (
    (select u.tenant_id from public.audit_unsealed u
      where after is null or u.tenant_id > after order by u.tenant_id limit 1)
    union all
    select (select u.tenant_id from public.audit_unsealed u
      where u.tenant_id > found.tenant_id order by u.tenant_id limit 1)
    from found where found.tenant_id is not null
  )
  select found.tenant_id from found where found.tenant_id is not null limit most
$$;

-- Every tenant, by id, after the one given.
create function tenants_after(after uuid, most integer) returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  select t.id from public.tenant t where after is null or t.id > after order by t.id limit most
$$;

grant create on schema public to ringmaster_lookup;
do $$
declare
  f text;
begin
  foreach f in array array['tenants_to_seal(uuid, integer)', 'tenants_after(uuid, integer)']
  loop
    execute format('alter function %s owner to ringmaster_lookup', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to ringmaster_app', f);
  end loop;
end $$;
revoke create on schema public from ringmaster_lookup;
