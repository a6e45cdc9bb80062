-- End the pauses of some members of one root, and release what waits for nothing else. Returns how many jobs that brings
-- back. Members that are not paused are passed over.
--
-- Called by: oban_workflow_resume_v1, oban_workflow_expire.
-- Locks: rows of the pauses, timers and groups, then the jobs; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_resume_members(p_root bigint, p_targets bigint[])
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_engine text := current_setting('oban_workflows.engine', true);
  v_rules smallint := (SELECT rules FROM oban_workflow_groups WHERE key = p_root);
  v_resumed bigint[];
  v_ids bigint[];
BEGIN
  WITH resumed AS (
    DELETE FROM oban_workflow_pauses WHERE target = ANY(p_targets) RETURNING target
  )
  SELECT array_agg(target) INTO v_resumed FROM resumed;

  IF v_resumed IS NULL THEN
    RETURN 0;
  END IF;

  DELETE FROM oban_workflow_timers WHERE target = ANY(v_resumed) AND kind = 'pause';

  UPDATE
    oban_workflow_groups
  SET
    rules = NULLIF(rules & ~64, 0)
  WHERE
    key = p_root
    AND NOT EXISTS (SELECT FROM oban_workflow_pauses WHERE root = p_root);

  v_ids := ARRAY(
    SELECT
      id
    FROM
      oban_jobs
    WHERE
      id = ANY(ARRAY(SELECT p.id FROM oban_workflow_jobs_in(v_resumed) p))
      AND (state = 'suspended') IS TRUE
    ORDER BY
      id
    FOR NO KEY UPDATE
  );

  PERFORM oban_workflow_check_sight();
  PERFORM set_config('oban_workflows.engine', (pg_trigger_depth() + 1)::text, true);
  PERFORM oban_workflow_notify_queues_v1(oban_workflow_propagate('{}', '{}', '{}', '{}', v_ids, v_rules));

  -- a job that waits for something else now waits like any other
  UPDATE
    oban_jobs
  SET
    meta = meta - 'paused_from'
  WHERE
    id = ANY(v_ids)
    AND (state = 'suspended') IS TRUE
    AND meta ? 'paused_from'
    AND id <> ALL(ARRAY(SELECT oban_workflow_paused(v_ids)));

  PERFORM set_config('oban_workflows.engine', COALESCE(v_engine, ''), true);

  RETURN (
    SELECT count(*) FROM oban_jobs WHERE id = ANY(v_ids) AND (state IN ('available', 'scheduled', 'retryable')) IS TRUE
  );
END;
$$;
