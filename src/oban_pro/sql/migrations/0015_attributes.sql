-- What root workflows are found by, and until when the pruner passes over one. NULL for neither, which takes no room.
--
-- Locks: oban_workflow_groups
ALTER TABLE oban_workflow_groups
ADD COLUMN attributes jsonb,
ADD COLUMN kept_until timestamp WITHOUT TIME ZONE;

CREATE INDEX oban_workflow_groups_attributes_index
ON oban_workflow_groups USING gin (attributes jsonb_path_ops)
WHERE attributes IS NOT NULL;

-- Searches by name, newest first.
CREATE INDEX oban_workflow_groups_name_index
ON oban_workflow_groups (name, inserted_at)
WHERE parent IS NULL AND name IS NOT NULL;

-- Roots that did not complete: few among those that settled.
CREATE INDEX oban_workflow_groups_failed_index
ON oban_workflow_groups (state, inserted_at)
WHERE parent IS NULL AND state IN ('cancelled', 'discarded');
