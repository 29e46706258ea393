-- Who placed a call, and what people prefer.

alter table call add column placed_by text; -- a prefixed id, or an operator's name; null: nobody here did
create index call_placed_by on call (tenant_id, placed_by, started_at desc, id desc)
  where placed_by is not null;

-- Apart from the person, whom fellow members may see.
create table person_preference (
  person_id uuid primary key references person (id) on delete cascade,
  preferences jsonb not null
);
grant select, insert, update (preferences) on person_preference to ringmaster_app;
alter table person_preference enable row level security, force row level security;
create policy of_self on person_preference to ringmaster_app
  using (person_id = (select app_person()));
