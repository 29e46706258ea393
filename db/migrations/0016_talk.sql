-- Talking to an agent from a page: a switch that lets anyone, and tickets that each let one in, once.

alter table agent add column is_talk_public boolean not null default false;
grant update (is_talk_public) on agent to ringmaster_app;

create table talk_ticket (
  tenant_id uuid not null references tenant (id),
  hash bytea not null unique, -- HMAC-SHA-256 of the ticket under the house's pepper
  agent_id uuid not null,
  origin text, -- the page that may show it; null: the house's own
  expires_at timestamptz not null,
  primary key (tenant_id, hash),
  foreign key (tenant_id, agent_id) references agent (tenant_id, id)
);
create index talk_ticket_expired on talk_ticket (tenant_id, expires_at);
grant select, insert, delete on talk_ticket to ringmaster_app;
alter table talk_ticket enable row level security, force row level security;
create policy of_tenant on talk_ticket to ringmaster_app
  using (tenant_id = any ((select app_tenants())::uuid[]));

grant select (tenant_id, hash) on talk_ticket to ringmaster_lookup;
create policy lookup on talk_ticket for select to ringmaster_lookup using (true);
grant select (tenant_id, id, is_talk_public, published_version, archived_at)
  on agent to ringmaster_lookup;
create policy lookup on agent for select to ringmaster_lookup using (is_talk_public);
create index agent_talk_public on agent (id) where is_talk_public;

create function talk_ticket_owner(wanted bytea) returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  select t.tenant_id from public.talk_ticket t where t.hash = wanted
$$;

-- The tenant of an agent that anyone may talk to.
create function public_talk_owner(wanted uuid) returns table (tenant_id uuid)
language sql stable security definer set search_path = '' as $$
  select a.tenant_id from public.agent a
  where a.id = wanted and a.is_talk_public and a.published_version is not null
    and a.archived_at is null
$$;

grant create on schema public to ringmaster_lookup;
alter function talk_ticket_owner(bytea) owner to ringmaster_lookup;
alter function public_talk_owner(uuid) owner to ringmaster_lookup;
revoke create on schema public from ringmaster_lookup;

revoke all on function talk_ticket_owner(bytea) from public;
revoke all on function public_talk_owner(uuid) from public;
grant execute on function talk_ticket_owner(bytea) to ringmaster_app;
grant execute on function public_talk_owner(uuid) to ringmaster_app;
