-- What another machine must know to go on with a call: whose account of the carrier it goes by, and how a phone
-- call is held. Null: by a version that did not write it, or no phone call.
alter table call add column account text check (account in ('house', 'tenant')),
  add column leg text check (leg in ('stream', 'relay'));
