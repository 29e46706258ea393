-- People, whose tenants they are members of, how they log in, and what machines log in with.

-- `config_version` grows with every change that a gate or a desk may have cached.
alter table tenant
  add column status text not null default 'active'
    check (status in ('trial', 'active', 'suspended', 'cancelled')),
  add column settings jsonb not null default '{}',
  add column config_version bigint not null default 1;
grant update (status, settings, config_version) on tenant to ringmaster_app;

-- The person of this transaction, for rows that are a person's and no tenant's.
create function app_person() returns uuid language sql stable parallel safe as $$
  select nullif(current_setting('app.person', true), '')::uuid
$$;

create table person (
  id uuid primary key,
  email text not null unique check (email = lower(email) and length(email) <= 254),
  name text not null,
  primary_tenant_id uuid references tenant (id),
  is_operator boolean not null default false,
  disabled_at timestamptz,
  created_at timestamptz not null default now()
);

-- Apart from the person, whom fellow members may see.
create table person_secret (
  person_id uuid primary key references person (id) on delete cascade,
  password_hash text not null, -- PHC string, argon2id
  changed_at timestamptz not null default now()
);

create table member (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  person_id uuid not null references person (id),
  role text not null check (role in ('owner', 'admin', 'builder', 'agent', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, person_id)
);
create index member_of_person on member (person_id);

-- A login on one device: the family of its refresh tokens.
create table session (
  person_id uuid not null references person (id) on delete cascade,
  id uuid not null,
  user_agent text not null,
  address text not null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_reason text,
  primary key (person_id, id)
);

-- `hash` is HMAC-SHA-256 of the token under the house's pepper. A spent one was exchanged for its
-- successor, which is derived from it, the salt and the pepper: so within the grace the same one can be
-- given again.
create table refresh_token (
  person_id uuid not null,
  session_id uuid not null,
  hash bytea not null unique,
  salt bytea not null,
  issued_at timestamptz not null default now(),
  spent_at timestamptz,
  primary key (person_id, session_id, hash),
  foreign key (person_id, session_id) references session (person_id, id) on delete cascade
);

create table password_reset (
  person_id uuid not null references person (id) on delete cascade,
  hash bytea not null unique,
  expires_at timestamptz not null,
  used_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (person_id, hash)
);

create table invitation (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  email text not null check (email = lower(email) and length(email) <= 254),
  role text not null check (role in ('owner', 'admin', 'builder', 'agent', 'viewer')),
  token_hash bytea not null unique,
  invited_by text not null, -- a prefixed id
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  revoked_at timestamptz,
  primary key (tenant_id, id)
);

-- `hash` is HMAC-SHA-256 of the whole key under the house's pepper; `public_id` is the part shown.
create table api_key (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  name text not null,
  public_id text not null unique,
  hash bytea not null,
  scopes text[] not null,
  created_by text not null, -- a prefixed id
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  primary key (tenant_id, id)
);

-- Keys that sign access tokens, of the whole house; the private half is sealed.
create table signing_key (
  id text primary key, -- the token's `kid`
  public_jwk jsonb not null,
  private_sealed bytea not null,
  created_at timestamptz not null default now(),
  signs_until timestamptz not null,
  verifies_until timestamptz not null
);
grant select, insert on signing_key to ringmaster_app;
alter table signing_key enable row level security, force row level security;
create policy of_house on signing_key to ringmaster_app using (true);

grant select, insert on person, person_secret, member, session, refresh_token, password_reset,
  invitation, api_key to ringmaster_app;
grant update (name, primary_tenant_id, disabled_at) on person to ringmaster_app;
grant update (password_hash, changed_at) on person_secret to ringmaster_app;
grant update (role), delete on member to ringmaster_app;
grant update (last_used_at, expires_at, revoked_at, revoked_reason), delete on session
  to ringmaster_app;
grant update (spent_at) on refresh_token to ringmaster_app;
grant update (used_at), delete on password_reset to ringmaster_app;
grant update (token_hash, expires_at, accepted_at, revoked_at) on invitation to ringmaster_app;
grant update (name, scopes, expires_at, last_used_at, revoked_at) on api_key to ringmaster_app;

alter table person enable row level security, force row level security;
create policy of_self on person to ringmaster_app using (id = (select app_person()));
-- Fellow members are seen, not changed.
create policy of_tenant on person for select to ringmaster_app
  using (exists (
    select 1 from member m
    where m.person_id = person.id and m.tenant_id = any ((select app_tenants())::uuid[])));

do $$
declare
  t text;
begin
  foreach t in array array['person_secret', 'session', 'refresh_token', 'password_reset']
  loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format(
      'create policy of_self on %I to ringmaster_app using (person_id = (select app_person()))', t);
  end loop;
  foreach t in array array['member', 'invitation', 'api_key']
  loop
    execute format('alter table %I enable row level security, force row level security', t);
    execute format(
      'create policy of_tenant on %I to ringmaster_app
         using (tenant_id = any ((select app_tenants())::uuid[]))', t);
  end loop;
end $$;
