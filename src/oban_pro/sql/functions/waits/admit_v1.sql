-- Decide which jobs start that were just inserted, as oban_workflow_admit_v2 does.
--
-- Called by: nodes of older releases. It runs with the rights of the tables' owner, as that function does.
-- Locks, called twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_admit_v1(p_root bigint, p_rules smallint, p_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
  PERFORM oban_workflow_admit_v2(p_root, p_rules, p_ids, NULL);
END;
$$;
