-- Lock the root of a workflow by id, and tell whether there is such a workflow.
--
-- Called by: the operations on a whole workflow, before anything else. It runs with the rights of the tables' owner:
-- whoever appends locks a row that it may not change.
-- Locks: the row of the root, as oban_workflow_lock_roots does; see oban_workflow_lock_unchanged.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_root_v1(p_id text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    PERFORM oban_workflow_lock_unchanged(ARRAY(SELECT root FROM oban_workflow_groups WHERE id = p_id));
  END IF;

  PERFORM
  FROM
    oban_workflow_groups
  WHERE
    key = (SELECT g.root FROM oban_workflow_groups g WHERE g.id = p_id)
  FOR NO KEY UPDATE;

  RETURN FOUND;
END;
$$;
