-- Where large recorded values of a workflow are kept: a URL; NULL for nowhere, which takes no room.
--
-- Locks: oban_workflow_groups
ALTER TABLE oban_workflow_groups
ADD COLUMN store text;
