-- Lock the root of a workflow by id, and tell whether there is such a workflow.
--
-- Called by: the operations on a whole workflow, before anything else.
-- Locks: the row of the root, as oban_workflow_lock_roots does.
-- Twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock(p_id text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  PERFORM
  FROM
    oban_workflow_groups
  WHERE
    key = (SELECT g.root FROM oban_workflow_groups g WHERE g.id = p_id)
  FOR NO KEY UPDATE;

  RETURN FOUND;
END;
$$;
