-- What builders work on: an agent's draft, and what is learnt of a call after it.

alter table agent
  add column draft jsonb, -- the graph being drawn; null: as published
  add column revision integer not null default 1, -- of the agent and its draft: its ETag
  add column updated_at timestamptz not null default now(),
  add column archived_at timestamptz;
grant update (draft, revision, updated_at, archived_at) on agent to ringmaster_app;

alter table call add column analysis jsonb; -- null until the call has been analysed
grant update (analysis) on call to ringmaster_app;

-- How calls and numbers are listed: newest first, each filter by an index of its own.
create index call_newest on call (tenant_id, started_at desc, id desc);
create index call_of_agent on call (tenant_id, agent_id, started_at desc, id desc);
create index call_of_outcome on call (tenant_id, outcome, started_at desc, id desc);
create index call_from on call (tenant_id, from_number, started_at desc, id desc);
create index call_to on call (tenant_id, to_number, started_at desc, id desc);
create index call_not_ended on call (tenant_id, started_at desc, id desc) where status <> 'ended';
create index phone_number_of_agent on phone_number (tenant_id, agent_id);
