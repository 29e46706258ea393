-- Calls that go on and whose machine is dead: nobody holds them. Ids alone, as of all look-ups.
create index call_going_on on call (id) where status <> 'ended';

grant select (kind, id, node_id, incarnation) on actor_owner to ringmaster_lookup;
create policy lookup on actor_owner for select to ringmaster_lookup using (kind = 'call');
grant select (node_id, incarnation, state) on node to ringmaster_lookup;
create policy lookup on node for select to ringmaster_lookup using (state = 'dead');
grant select (tenant_id, id, status) on call to ringmaster_lookup;
create policy lookup on call for select to ringmaster_lookup using (status <> 'ended');

create function orphaned_calls(most integer) returns table (tenant_id uuid, call_id uuid)
language sql stable security definer set search_path = '' as $$
  select c.tenant_id, c.id
  from public.node n
  join public.actor_owner o on o.node_id = n.node_id and o.incarnation = n.incarnation
  join public.call c on c.id = substr(o.id, 6)::uuid and c.status <> 'ended' -- behind `call_`
  where n.state = 'dead' and o.kind = 'call'
  order by c.id limit most
$$;

grant create on schema public to ringmaster_lookup;
alter function orphaned_calls(integer) owner to ringmaster_lookup;
revoke create on schema public from ringmaster_lookup;
revoke all on function orphaned_calls(integer) from public;
grant execute on function orphaned_calls(integer) to ringmaster_app;
