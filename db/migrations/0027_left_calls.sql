-- Calls that nobody holds: of a dead machine, or handed over by one that has left and not taken by another. Without
-- a tenant: the call has ended, and only its owner's row is left of it.
create index actor_owner_released on actor_owner (kind, id) where node_id is null;

create function left_calls(most integer)
returns table (tenant_id uuid, call_id uuid, is_released boolean)
language sql stable security definer set search_path = '' as $$
  select c.tenant_id, substr(o.id, 6)::uuid, o.node_id is null -- behind `call_`
  from (
    select o.id, o.node_id from public.node n
    join public.actor_owner o on o.node_id = n.node_id and o.incarnation = n.incarnation
    where n.state = 'dead' and o.kind = 'call'
    union all
    select id, node_id from public.actor_owner where kind = 'call' and node_id is null
  ) o
  left join public.call c on c.id = substr(o.id, 6)::uuid and c.status <> 'ended'
  order by o.id limit most
$$;
grant create on schema public to ringmaster_lookup;
alter function left_calls(integer) owner to ringmaster_lookup;
revoke create on schema public from ringmaster_lookup;
revoke all on function left_calls(integer) from public;
grant execute on function left_calls(integer) to ringmaster_app;
