-- Lock the root of a workflow, and find what a call is for: the workflow itself, or the member at a path. Raises if
-- there is no such workflow, or no such member.
--
-- Called by: oban_workflow_pause_v1, oban_workflow_resume_v1, oban_workflow_set_deadline_v1.
-- Locks: the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_target(p_id text, p_path text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
  IF p_path IS NOT NULL THEN
    RETURN oban_workflow_lock_member(p_id, p_path);
  END IF;

  IF NOT oban_workflow_lock_root_v1(p_id) THEN
    RAISE EXCEPTION USING MESSAGE = 'there is no workflow ' || quote_literal(p_id), ERRCODE = 'OBW11';
  END IF;

  RETURN (SELECT key FROM oban_workflow_groups WHERE id = p_id);
END;
$$;
