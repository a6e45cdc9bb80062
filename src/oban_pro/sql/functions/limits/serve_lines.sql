-- Release jobs from the lines of fan-outs of one root whose limits have changed or whose periods have ended.
--
-- Called by: oban_workflow_set_limit_v1, oban_workflow_expire.
-- Locks: rows of the three tables, then suspended jobs; the caller holds the root.
-- Called twice: finds nobody.
CREATE OR REPLACE FUNCTION oban_workflow_serve_lines(p_root bigint, p_limiters bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
BEGIN
  IF p_limiters = '{}' THEN
    RETURN;
  END IF;

  PERFORM oban_workflow_check_sight();
  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);
  PERFORM oban_workflow_notify_queues_v1(
    oban_workflow_propagate(
      '{}', '{}', '{}', '{}', p_limiters, (SELECT rules FROM oban_workflow_groups WHERE key = p_root)
    )
  );
  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);
END;
$$;
