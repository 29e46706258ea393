-- What builders work on: an agent's draft, and what is learnt of a call after it.

alter table agent
  add column draft jsonb, -- the graph being drawn; null: as published
  add column revision integer not null default 1, -- of the agent and its draft: its ETag
  add column updated_at timestamptz not null default now(),
  add column archived_at timestamptz;
grant update (draft, revision, updated_at, archived_at) on agent to ringmaster_app;

alter table call add column analysis jsonb; -- null until the call has been analysed
grant update (analysis) on call to ringmaster_app;
