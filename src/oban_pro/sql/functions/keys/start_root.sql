-- Start a root that has waited in line: its clocks run, its waits open, and its jobs are released; what in it depends on
-- nothing has opened. Returns the queues that have work now.
--
-- Called by: oban_workflow_hand_over, oban_workflow_retake_v1.
-- Locks: rows of groups, ends and timers, then the jobs; the caller holds the root.
-- Called twice: finds nothing to release.
CREATE OR REPLACE FUNCTION oban_workflow_start_root(p_root bigint)
RETURNS text[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_rules smallint;
  v_queues text[];
  v_ids bigint[];
BEGIN
  UPDATE oban_workflow_groups SET queued_at = NULL WHERE key = p_root RETURNING rules INTO v_rules;

  PERFORM oban_workflow_start_group_clocks(p_root);

  IF v_rules & 16 > 0 THEN
    UPDATE
      oban_workflow_ends e
    SET
      opened = true
    WHERE
      e.root = p_root
      AND NOT e.opened
      AND NOT EXISTS (SELECT FROM oban_workflow_members m WHERE m.id = e.group_key AND m.pending > 0);
  END IF;

  v_ids := ARRAY(
    SELECT
      id
    FROM
      oban_jobs
    WHERE
      id = ANY(ARRAY(SELECT p.id FROM oban_workflow_jobs_in(ARRAY[p_root]) p))
      AND (state = 'suspended') IS TRUE
  );

  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);

  v_queues := oban_workflow_propagate('{}', '{}', '{}', '{}', v_ids, v_rules);

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);

  RETURN v_queues;
END;
$$;
