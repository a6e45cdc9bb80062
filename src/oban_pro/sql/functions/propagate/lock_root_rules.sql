-- Lock the root of a workflow by id, and tell which rare rules it uses; NULL if there is no such workflow.
--
-- Called by: oban_workflow_cancel_v3, oban_workflow_lock_root_v1. It runs with the rights of the tables' owner:
-- whoever appends locks a row that it may not change.
-- Locks: the row of the root, as oban_workflow_lock_roots does; see oban_workflow_lock_unchanged.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_root_rules(p_id text)
RETURNS smallint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
  v_rules smallint;
BEGIN
  IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    PERFORM oban_workflow_lock_unchanged(ARRAY(SELECT root FROM oban_workflow_groups WHERE id = p_id));
  END IF;

  SELECT
    COALESCE(rules, 0)
  INTO
    v_rules
  FROM
    oban_workflow_groups
  WHERE
    key = (SELECT g.root FROM oban_workflow_groups g WHERE g.id = p_id)
  FOR NO KEY UPDATE;

  RETURN v_rules;
END;
$$;
