-- What a machine proves itself to other machines with, from one start to its end: `actors/cluster/links`.
-- Null: it was started by a version that talked to none.
alter table node add column link_key text;
