-- Fences look owners up by kind and id. With an index on the node as well, a planner without statistics
-- took that one, and read all that a machine owns for every write. What reads by node reads the whole table,
-- once in the life of a machine.
drop index actor_owner_of_node;
