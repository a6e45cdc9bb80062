-- Lock the root of a workflow, and find a member of the workflow by its path. Raises if there is no such workflow or
-- member.
--
-- Called by: oban_workflow_signal_v1 and its siblings.
-- Locks: the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lock_member(p_id text, p_path text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_member bigint;
BEGIN
  IF NOT oban_workflow_lock_root_v1(p_id) THEN
    RAISE EXCEPTION USING MESSAGE = 'there is no workflow ' || quote_literal(p_id), ERRCODE = 'OBW11';
  END IF;

  v_member := oban_workflow_find_member_v1((SELECT key FROM oban_workflow_groups WHERE id = p_id), p_path);

  IF v_member IS NULL THEN
    RAISE EXCEPTION USING
      MESSAGE = 'there is nothing named ' || quote_literal(p_path) || ' in workflow ' || quote_literal(p_id),
      ERRCODE = 'OBW12';
  END IF;

  RETURN v_member;
END;
$$;
