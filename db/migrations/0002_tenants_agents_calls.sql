-- Tenants, their agents and numbers, their calls, and what happened in each conversation.

create table tenant (
  id uuid primary key,
  name text not null,
  created_at timestamptz not null default now()
);

create table agent (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  name text not null,
  published_version integer,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);

-- Never changed: a call refers to the graph it was led by.
create table agent_version (
  tenant_id uuid not null,
  id uuid not null,
  agent_id uuid not null,
  number integer not null check (number > 0),
  graph jsonb not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, agent_id, number),
  foreign key (tenant_id, agent_id) references agent (tenant_id, id)
);

alter table agent add foreign key (tenant_id, id, published_version)
  references agent_version (tenant_id, agent_id, number);

create table phone_number (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  number text not null unique check (number ~ '^\+[1-9][0-9]{1,14}$'), -- E.164
  agent_id uuid,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, agent_id) references agent (tenant_id, id)
);

create table call (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  agent_id uuid not null,
  agent_version integer not null,
  direction text not null check (direction in ('inbound', 'outbound')),
  from_number text not null,
  to_number text not null,
  carrier text not null,
  carrier_call_id text, -- null until the carrier has taken an outbound call
  status text not null check (status in ('ringing', 'live', 'ended')),
  outcome text check (outcome in ('answered', 'busy', 'no_answer', 'voicemail', 'failed')),
  reason text,
  variables jsonb not null default '{}',
  started_at timestamptz not null,
  answered_at timestamptz,
  ended_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, carrier_call_id, carrier),
  foreign key (tenant_id, agent_id, agent_version)
    references agent_version (tenant_id, agent_id, number),
  check ((status = 'ended') = (ended_at is not null)),
  check (outcome is null or status = 'ended')
);

-- Append-only: the application's role may insert and read.
create table conversation_event (
  tenant_id uuid not null references tenant (id),
  conversation_id uuid not null,
  seq integer not null check (seq > 0),
  type text not null,
  payload jsonb not null,
  at timestamptz not null,
  primary key (tenant_id, conversation_id, seq)
);

grant select, insert on tenant, agent, agent_version, phone_number, call, conversation_event
  to ringmaster_app;
grant update (name) on tenant to ringmaster_app;
grant update (name, published_version) on agent to ringmaster_app;
grant update (agent_id), delete on phone_number to ringmaster_app;
grant update (carrier_call_id, status, outcome, reason, variables, answered_at, ended_at)
  on call to ringmaster_app;

-- Forced, so that it binds the owner too. The tenants are read once a query, not once a row.
alter table tenant enable row level security, force row level security;
create policy of_tenant on tenant to ringmaster_app
  using (id = any ((select app_tenants())::uuid[]));

do $$
declare
  t text;
begin
  foreach t in array array['agent', 'agent_version', 'phone_number', 'call', 'conversation_event']
  loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format(
      'create policy of_tenant on %I to ringmaster_app
         using (tenant_id = any ((select app_tenants())::uuid[]))', t);
  end loop;
end $$;
