-- Recordings that LiveKit makes of rooms, and which of its webhooks have been taken.

create table livekit_egress (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  livekit_id text not null,
  room text not null, -- as the tenant calls it
  status text not null check (status in
    ('starting', 'active', 'ending', 'complete', 'failed', 'aborted', 'limit_reached')),
  stage smallint not null check (stage between 1 and 4), -- of the status: it never goes back
  error text,
  files jsonb not null,
  updated_ns bigint not null, -- by LiveKit's clock: of two states of one stage the newer counts
  started_by text, -- a prefixed id; null: nobody here did
  created_at timestamptz not null default now(),
  started_at timestamptz,
  ended_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, livekit_id)
);

create table livekit_event (
  tenant_id uuid not null references tenant (id),
  id text not null,
  at timestamptz not null,
  primary key (tenant_id, id)
);
create index livekit_event_at on livekit_event (tenant_id, at);

grant select, insert, delete on livekit_egress, livekit_event to ringmaster_app;
grant update (status, stage, error, files, updated_ns, started_by, started_at, ended_at)
  on livekit_egress to ringmaster_app;

do $$
declare
  t text;
begin
  foreach t in array array['livekit_egress', 'livekit_event']
  loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format(
      'create policy of_tenant on %I to ringmaster_app
         using (tenant_id = any ((select app_tenants())::uuid[]))', t);
  end loop;
end $$;
