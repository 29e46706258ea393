-- What a call has used of its providers: tokens by model, characters spoken, audio recognised. Null: not known.
alter table call add column usage jsonb;
grant update (usage) on call to ringmaster_app;
