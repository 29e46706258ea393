-- The roles of the application, which own no table and bypass no policy.

-- Roles are of the whole cluster: another database of it may have made them, or be making them now.
do $$ begin
  create role ringmaster_app nologin noinherit nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then null;
end $$;

-- Owns the look-ups of 0003, and reads only the columns they need.
do $$ begin
  create role ringmaster_lookup nologin noinherit nosuperuser nobypassrls;
exception when duplicate_object or unique_violation then null;
end $$;

-- The login role becomes the application's role, and hands the look-ups to theirs.
do $$ begin
  execute format('grant ringmaster_app, ringmaster_lookup to %I', current_user);
end $$;

grant usage on schema public to ringmaster_app, ringmaster_lookup;

-- The tenants of this transaction. Unset, and after a transaction that set it, it is empty.
create function app_tenants() returns uuid[] language sql stable parallel safe as $$
  select coalesce(nullif(current_setting('app.tenants', true), '')::uuid[], '{}'::uuid[])
$$;
