-- What operators have set for one tenant, and counters by the minute, day and month.

-- Apart from the settings, which a tenant writes itself.
alter table tenant add column limits jsonb not null default '{}';
grant update (limits) on tenant to ringmaster_app;

-- The beginning of the period, UTC.
alter table quota_counter alter column period type timestamptz using period::timestamptz;
grant delete on quota_counter to ringmaster_app;

-- Live calls are counted when a tenant's actor starts.
create index call_open on call (tenant_id, started_at) where status <> 'ended';
