-- Which machines there are, and which of them owns what: the rows of the protocol in `db/cluster.ts`.

-- A new one at every boot, of all machines together.
create sequence node_incarnation as bigint;
grant usage on sequence node_incarnation to ringmaster_app;

create table node (
  node_id text not null check (node_id <> ''),
  incarnation bigint not null,
  address text not null, -- HOST:PORT, at which other machines reach it
  region text not null,
  version text not null,
  weight integer not null check (weight > 0), -- calls that it holds at most
  load integer not null default 0, -- calls that it held at its last beat
  state text not null check (state in ('active', 'draining', 'dead')),
  beat bigint not null default 0, -- watched by the others; no time stamp is
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now(), -- for people
  primary key (node_id, incarnation)
) with (fillfactor = 50);

create table actor_owner (
  kind text not null,
  id text not null,
  epoch bigint not null check (epoch > 0), -- one more at every change of owner
  node_id text, -- null: released
  incarnation bigint,
  claimed_at timestamptz not null default now(),
  primary key (kind, id),
  -- Whoever owns something has a row that says whether it is dead.
  foreign key (node_id, incarnation) references node (node_id, incarnation),
  check ((node_id is null) = (incarnation is null))
) with (fillfactor = 70);
create index actor_owner_of_node on actor_owner (node_id, incarnation) where node_id is not null;

grant select, insert, delete, update (state, beat, load, seen_at) on node to ringmaster_app;
grant select, insert, delete, update (epoch, node_id, incarnation, claimed_at) on actor_owner
  to ringmaster_app;

alter table node enable row level security, force row level security;
alter table actor_owner enable row level security, force row level security;
create policy of_house on actor_owner to ringmaster_app using (true);
create policy seen on node for select to ringmaster_app using (true);
create policy joins on node for insert to ringmaster_app with check (state = 'active' and beat = 0);
-- Dead never changes again: the whole protocol stands on that.
create policy changes on node for update to ringmaster_app
  using (state <> 'dead') with check (true);
create policy swept on node for delete to ringmaster_app using (state = 'dead');
