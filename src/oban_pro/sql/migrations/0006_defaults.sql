-- Options of jobs that functions take which are added to the workflow later, by a graft or by append; those of the workflows
-- around it included. NULL for none, which takes no room.
--
-- Locks: oban_workflow_groups
ALTER TABLE oban_workflow_groups ADD COLUMN defaults jsonb;

-- When the workflow had settled and was retried, the last time.
ALTER TABLE oban_workflow_groups ADD COLUMN retried_at timestamp WITHOUT TIME ZONE;

-- A status looks here; nothing is found at once where nobody retries.
CREATE INDEX oban_workflow_groups_retried_index
ON oban_workflow_groups (root)
WHERE retried_at IS NOT NULL;
