-- How many members of a fan-out may be open at once; NULL for any number. Of a mapped fan-out the row of the graft says it.
-- The group is then one with rare rules.
--   32: a fan-out has a limit
--
-- Locks: oban_workflow_groups
ALTER TABLE oban_workflow_groups ADD COLUMN max_open integer;

-- Between which ids of jobs those are that wait for a slot, among others; NULL where none waits.
ALTER TABLE oban_workflow_groups ADD COLUMN next_waiting bigint;
ALTER TABLE oban_workflow_groups ADD COLUMN last_waiting bigint;

-- Of a graft in a fan-out with a limit: whether it holds a slot. NULL everywhere else.
ALTER TABLE oban_workflow_groups ADD COLUMN has_begun boolean;

CREATE INDEX oban_workflow_groups_begun_index
ON oban_workflow_groups (parent)
WHERE has_begun;
