-- Remove a root workflow that has settled: its jobs and its bookkeeping. Returns 'deleted', or why not: 'unknown', 'nested',
-- 'open', or 'unended' where an execution has not ended.
--
-- Called by: delete() of a handle.
-- Locks: the root, then its jobs.
-- Called twice: the second call finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_delete_v1(p_id text)
RETURNS text
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_root record;
  v_groups bigint[];
BEGIN
  SELECT
    key, parent, state, rules
  FROM
    oban_workflow_groups
  WHERE
    id = p_id
  FOR UPDATE
  INTO
    v_root;

  IF NOT FOUND THEN
    RETURN 'unknown';
  ELSIF v_root.parent IS NOT NULL THEN
    RETURN 'nested';
  ELSIF v_root.state = 'executing' THEN
    RETURN 'open';
  ELSIF v_root.rules & 128 > 0 THEN
    RETURN 'unended';
  END IF;

  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  v_groups := ARRAY(SELECT key FROM oban_workflow_groups WHERE root = v_root.key);

  DELETE FROM
    oban_jobs
  WHERE
    id = ANY(ARRAY(SELECT id FROM oban_workflow_members WHERE group_key = ANY(v_groups) AND id > 0));

  PERFORM oban_workflow_remove_groups(v_groups, COALESCE(v_root.rules, 0::smallint));

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);

  RETURN 'deleted';
END;
$$;
