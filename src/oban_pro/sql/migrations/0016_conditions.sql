-- Conditions: what a skipped job leaves behind, and which groups were skipped. All of it is NULL in workflows without
-- conditions, which takes no room.
--
-- Locks: oban_workflow_groups, oban_workflow_members, oban_workflow_edges

-- Looser than before, so no row needs to be looked at.
ALTER TABLE oban_workflow_members DROP CONSTRAINT oban_workflow_members_gone_check;
ALTER TABLE oban_workflow_members ADD
  CONSTRAINT oban_workflow_members_gone_check CHECK (gone IN ('completed', 'cancelled', 'discarded', 'deleted', 'skipped')) NOT VALID;

-- jobs of the group, and groups in it, that were skipped; each counts as completed as well
ALTER TABLE oban_workflow_groups ADD COLUMN skipped integer;
ALTER TABLE oban_workflow_groups ADD COLUMN subs_skipped integer;

-- its gate is open, and whatever waits at it is skipped: all that the group depends on was, or its judge said no
ALTER TABLE oban_workflow_groups ADD COLUMN skips boolean;

-- one of its jobs is its judge, and the flags that what the judge waits for is judged by: 1 for ignore_cancelled, 2 for
-- ignore_discarded
ALTER TABLE oban_workflow_groups ADD COLUMN judged smallint;

-- from the judge of a group to the group: what the group depends on is what its judge does
ALTER TABLE oban_workflow_edges ADD COLUMN judges boolean;
