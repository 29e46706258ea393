-- How calls over a number are held: by a media stream, or by the carrier's own ear and voice. Null: as the agent says.

alter table phone_number add column leg text check (leg in ('stream', 'relay'));
grant update (leg) on phone_number to ringmaster_app;
