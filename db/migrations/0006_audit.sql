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

-- The chain: `hash` is SHA-256 over the previous hash and the entry, in the order of `seq`.
create table audit_seal (
  tenant_id uuid not null,
  seq bigint not null check (seq > 0),
  entry_id uuid not null,
  hash bytea not null,
  sealed_at timestamptz not null default now(),
  primary key (tenant_id, seq),
  unique (tenant_id, entry_id),
  foreign key (tenant_id, entry_id) references audit_entry (tenant_id, id)
);

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

do $$
declare
  t text;
begin
  foreach t in array array['audit_entry', 'audit_seal', 'erasure_receipt']
  loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format(
      'create policy of_tenant on %I to ringmaster_app
         using (tenant_id = any ((select app_tenants())::uuid[]))', t);
  end loop;
end $$;
