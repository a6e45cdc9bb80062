-- Cancel open jobs of a workflow but its final jobs, as oban_workflow_cancel_v3 does.
--
-- Called by: nodes of older releases.
-- Locks, called twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_cancel_v1(p_id text, p_names text[])
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  RETURN oban_workflow_cancel_v3(p_id, p_names, false, NULL, NULL);
END;
$$;
