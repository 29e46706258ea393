-- Recordings of calls: what is stored of each; the sound itself is in a store of objects.

create table recording (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  call_id uuid not null,
  status text not null check (status in ('recording', 'complete', 'failed')),
  reason text, -- why it failed
  store text not null check (store in ('files', 's3', 'memory')),
  format text not null check (format in ('pcm', 'mulaw')), -- of a download
  consent text not null check (consent in ('none', 'disclose', 'ask')),
  segments integer not null default 0,
  bytes bigint not null default 0,
  duration_ms bigint not null default 0,
  started_at timestamptz not null,
  ended_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, call_id)
);
create index recording_ended on recording (tenant_id, ended_at);

grant select, insert, delete on recording to ringmaster_app;
grant update (status, reason, segments, bytes, duration_ms, ended_at) on recording to ringmaster_app;

alter table recording enable row level security, force row level security;
create policy of_tenant on recording to ringmaster_app
  using (tenant_id = any ((select app_tenants())::uuid[]));
