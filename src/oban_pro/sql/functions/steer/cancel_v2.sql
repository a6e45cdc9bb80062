-- Cancel open jobs of a workflow, as oban_workflow_cancel_v3 does, without noting who cancelled them and why.
--
-- Called by: nodes of older releases.
-- Locks, called twice: see there.
CREATE OR REPLACE FUNCTION oban_workflow_cancel_v2(p_id text, p_names text[], p_finals boolean)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  RETURN oban_workflow_cancel_v3(p_id, p_names, p_finals, NULL, NULL);
END;
$$;
