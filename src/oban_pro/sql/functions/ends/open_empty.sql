-- Open workflows that oban_workflow_close_empty closed, and whose gates have stayed open: of what they depend on, enough is
-- still satisfied.
--
-- Called by: oban_workflow_rerun_v1, once everything else waits.
-- Locks: see oban_workflow_propagate; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_open_empty(p_groups bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_finals bigint[];
  v_rules smallint;
BEGIN
  WITH opened AS (
    UPDATE
      oban_workflow_ends e
    SET
      opened = true
    WHERE
      e.group_key = ANY(p_groups)
      AND NOT e.opened
      AND COALESCE((SELECT pending <= 0 FROM oban_workflow_members WHERE id = e.group_key), true)
    RETURNING
      e.group_key, e.root
  )
  SELECT
    array_agg(f.id), min(g.rules)
  INTO
    v_finals, v_rules
  FROM
    opened o
    JOIN oban_workflow_finals f ON f.group_key = o.group_key
    JOIN oban_workflow_groups g ON g.key = o.root;

  IF v_finals IS NULL THEN
    RETURN;
  END IF;

  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);
  PERFORM oban_workflow_notify_queues_v1(oban_workflow_propagate('{}', '{}', '{}', '{}', v_finals, v_rules));
  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);
END;
$$;
