-- Let final jobs of workflows that have nothing else wait for the gate of their workflow again, as if that had never opened.
-- Returns these workflows.
--
-- Called by: oban_workflow_rerun_v1, with final jobs whose workflow depends on something that runs again, before it does.
-- Locks: rows of oban_workflow_ends and of members; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_close_empty(p_finals bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_closed bigint[];
BEGIN
  WITH closed AS (
    UPDATE
      oban_workflow_ends e
    SET
      opened = false,
      outcome = NULL
    WHERE
      e.group_key = ANY(ARRAY(SELECT group_key FROM oban_workflow_finals WHERE id = ANY(p_finals)))
      AND e.opened
      AND e.outcome IS NOT NULL
      AND e.finals = (SELECT total + subs FROM oban_workflow_groups WHERE key = e.group_key)
    RETURNING
      e.group_key
  )
  SELECT array_agg(group_key) INTO v_closed FROM closed;

  UPDATE
    oban_workflow_members
  SET
    pending = pending + 1
  WHERE
    id = ANY(ARRAY(SELECT id FROM oban_workflow_finals WHERE group_key = ANY(v_closed)));

  RETURN v_closed;
END;
$$;
