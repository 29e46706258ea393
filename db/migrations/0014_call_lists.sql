-- How calls, agents and numbers are listed: newest first, each filter by an index of its own.

create index call_newest on call (tenant_id, started_at desc, id desc);
create index call_of_agent on call (tenant_id, agent_id, started_at desc, id desc);
create index call_of_outcome on call (tenant_id, outcome, started_at desc, id desc);
create index call_from on call (tenant_id, from_number, started_at desc, id desc);
create index call_to on call (tenant_id, to_number, started_at desc, id desc);
create index call_not_ended on call (tenant_id, started_at desc, id desc) where status <> 'ended';
create index phone_number_of_agent on phone_number (tenant_id, agent_id);
