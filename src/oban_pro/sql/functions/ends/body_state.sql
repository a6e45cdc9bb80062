-- The state in which everything except the final jobs of a workflow has settled, what undoes it included, by the stored
-- counters. NULL while any of it is open, while an execution of it has not ended, or if the workflow is empty and has not
-- opened.
--
-- Called by: oban_workflow_end_bodies, oban_workflow_arm_finals, oban_workflow_retake_v1, and the doctor. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_body_state(p_key bigint)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_state text := oban_workflow_body_counts(p_key, true);
  v_root bigint;
BEGIN
  IF v_state IS NULL THEN
    RETURN NULL;
  END IF;

  SELECT root FROM oban_workflow_ends WHERE group_key = p_key INTO v_root;

  IF EXISTS (
    WITH RECURSIVE around AS (
      SELECT
        m.id, m.group_key
      FROM
        (SELECT DISTINCT u.id FROM oban_workflow_unended u WHERE u.root = v_root) u
        CROSS JOIN LATERAL (SELECT id, group_key FROM oban_workflow_members WHERE id = u.id OFFSET 0) m
      UNION
      SELECT
        m.id, m.group_key
      FROM
        around
        CROSS JOIN LATERAL (SELECT id, group_key FROM oban_workflow_members WHERE id = around.group_key OFFSET 0) m
    )
    SELECT
    FROM
      around
    WHERE
      around.group_key = p_key
      AND NOT EXISTS (SELECT FROM oban_workflow_finals f WHERE f.id = around.id)
  ) THEN
    RETURN NULL;
  END IF;

  RETURN v_state;
END;
$$;
