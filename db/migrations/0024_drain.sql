-- How a machine that is told to drain treats its calls, as whoever told it has said; null: it waits for them.
-- {"calls": "wait" | "handOver", "deadlineMs": number}
alter table node add column drain jsonb;
grant update (drain) on node to ringmaster_app;
