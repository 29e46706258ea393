-- Work that survives: jobs, what leaves the house, answers that must come out the same again.

create table job (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  kind text not null,
  key text not null, -- the same kind and key is the same job
  payload jsonb not null,
  status text not null default 'queued' check (status in ('queued', 'running', 'done', 'dead')),
  run_at timestamptz not null,
  attempt integer not null default 0,
  lease uuid, -- of the run that has it; null unless running
  lease_until timestamptz,
  last_error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, kind, key)
);
-- What is due when: a lane of each tenant and kind.
create index job_due on job (tenant_id, kind, coalesce(lease_until, run_at), id)
  where status in ('queued', 'running');


-- An event of the house, written in the transaction of what happened; deliveries are made from it.
create table outbox (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  type text not null, -- `call.ended`
  payload jsonb not null,
  at timestamptz not null,
  seq bigint generated always as identity, -- the order in which events were written
  dispatched_at timestamptz,
  primary key (tenant_id, id)
);
create index outbox_waiting on outbox (tenant_id, seq) where dispatched_at is null;
create index outbox_at on outbox (tenant_id, at);

create table webhook_endpoint (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  url text not null,
  description text not null,
  events text[] not null, -- empty: all
  mode text not null check (mode in ('standard', 'hex')),
  secret_sealed bytea not null,
  previous_secret_sealed bytea,
  previous_until timestamptz,
  status text not null default 'enabled' check (status in ('enabled', 'disabled')),
  disabled_reason text,
  failing_since timestamptz, -- of the first failure after the last success
  slow_until timestamptz, -- it has asked for quiet until then
  version integer not null default 1,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

create table delivery (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  endpoint_id uuid not null,
  event_id uuid not null,
  status text not null default 'pending'
    check (status in ('pending', 'delivered', 'failed', 'cancelled')),
  seq bigint not null, -- of its event
  attempt integer not null default 0, -- how many there have been
  step integer not null default 0, -- of the schedule: 0 is the first try, again after a replay
  next_at timestamptz,
  lease uuid, -- of the attempt that is under way
  lease_until timestamptz,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, endpoint_id, event_id),
  foreign key (tenant_id, endpoint_id) references webhook_endpoint (tenant_id, id) on delete cascade,
  foreign key (tenant_id, event_id) references outbox (tenant_id, id) on delete cascade
);
-- First tries of an endpoint in the order of events, and its retries beside them.
create index delivery_due on delivery (tenant_id, endpoint_id, (step > 0), next_at, seq)
  where status = 'pending';
create index delivery_leased on delivery (tenant_id, lease_until)
  where status = 'pending' and lease is not null;
create index delivery_of_endpoint on delivery (tenant_id, endpoint_id, seq);

create table delivery_attempt (
  tenant_id uuid not null,
  delivery_id uuid not null,
  attempt integer not null check (attempt > 0),
  at timestamptz not null,
  duration_ms integer not null,
  request_headers jsonb not null,
  status integer, -- null: no answer
  answer text, -- its first bytes
  error text,
  primary key (tenant_id, delivery_id, attempt),
  foreign key (tenant_id, delivery_id) references delivery (tenant_id, id) on delete cascade
);

-- A POST that acts, by the key that its sender gave it: it is done once, and answered the same again.
create table idempotency_key (
  tenant_id uuid not null references tenant (id),
  principal text not null, -- a prefixed id or an operator's name: no key is another's
  errand text not null,
  key text not null,
  request_hash bytea not null,
  lease uuid not null, -- of who runs it
  lease_until timestamptz not null,
  -- begun: nothing is done; asked: an actor was told to; acted: committed; answered: and the answer kept
  stage text not null default 'begun' check (stage in ('begun', 'asked', 'acted', 'answered')),
  answer_sealed bytea, -- it may hold what is shown once
  created_at timestamptz not null default now(),
  primary key (tenant_id, principal, errand, key),
  check ((stage = 'answered') = (answer_sealed is not null))
);
create index idempotency_key_old on idempotency_key (tenant_id, created_at);

-- What a tenant has used of what its plan allows.
create table quota_counter (
  tenant_id uuid not null references tenant (id),
  name text not null,
  period date not null,
  used bigint not null,
  primary key (tenant_id, name, period)
);

grant select, insert on job, outbox, webhook_endpoint, delivery, delivery_attempt, idempotency_key,
  quota_counter to ringmaster_app;
grant update (payload, status, run_at, attempt, lease, lease_until, last_error, finished_at), delete
  on job to ringmaster_app;
grant update (dispatched_at), delete on outbox to ringmaster_app;
grant update (url, description, events, mode, secret_sealed, previous_secret_sealed, previous_until,
  status, disabled_reason, failing_since, slow_until, version), delete on webhook_endpoint to ringmaster_app;
grant update (status, attempt, step, next_at, lease, lease_until, finished_at), delete on delivery
  to ringmaster_app;
grant delete on delivery_attempt to ringmaster_app;
grant update (request_hash, lease, lease_until, stage, answer_sealed, created_at), delete
  on idempotency_key to ringmaster_app;
grant update (used) on quota_counter to ringmaster_app;

do $$
declare
  t text;
begin
  foreach t in array array['job', 'outbox', 'webhook_endpoint', 'delivery', 'delivery_attempt',
    'idempotency_key', 'quota_counter']
  loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format(
      'create policy of_tenant on %I to ringmaster_app
         using (tenant_id = any ((select app_tenants())::uuid[]))', t);
  end loop;
end $$;
