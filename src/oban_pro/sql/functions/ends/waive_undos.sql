-- Waive the undos that have not begun, in a workflow and in those nested in it; or, with names, in those of its members that
-- are workflows. If something else of the workflow runs again, its jobs may be undone again.
--
-- Called by: oban_workflow_cancel_v3.
-- Locks: rows of oban_workflow_ends; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_waive_undos(p_id text, p_names text[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH named AS (
    SELECT
      key
    FROM
      oban_workflow_groups
    WHERE
      id = p_id
      AND p_names IS NULL
    UNION ALL
    SELECT
      m.id
    FROM
      (SELECT key FROM oban_workflow_groups WHERE id = p_id OFFSET 0) g
      JOIN oban_workflow_members m ON m.group_key = g.key AND m.name = ANY(p_names) AND m.id < 0
  )
  UPDATE
    oban_workflow_ends e
  SET
    undo = 0
  WHERE
    e.group_key = ANY(ARRAY(SELECT t.key FROM named CROSS JOIN LATERAL oban_workflow_groups_in_v1(named.key) t))
    AND e.undo IS NULL
    AND e.outcome IS NULL;
END;
$$;
