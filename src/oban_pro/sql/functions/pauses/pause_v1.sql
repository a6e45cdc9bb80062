-- Pause a workflow, or one of its members: after the commit nothing of it starts. Jobs that could start are suspended,
-- and note their state; executing jobs go on. Returns how many jobs were suspended. A target that has settled, or is
-- paused already, is left alone.
--
-- The pause ends by itself after p_seconds, or at p_moment, if one of them is given.
--
-- Called by: handles. The trigger counts what is suspended.
-- Locks: the root first, then the jobs, as oban_workflow_cancel_v3 does.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_pause_v1(
  p_id text,
  p_path text,
  p_by text,
  p_seconds double precision,
  p_moment timestamp
)
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_target bigint := oban_workflow_lock_target(p_id, p_path);
  v_root bigint := (SELECT root FROM oban_workflow_groups WHERE id = p_id);
  -- the lock may have taken long
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_ids bigint[];
BEGIN
  IF oban_workflow_has_settled(v_target) OR EXISTS (SELECT FROM oban_workflow_pauses WHERE target = v_target) THEN
    RETURN 0;
  END IF;

  PERFORM set_config('lock_timeout', '25ms', true);

  INSERT INTO oban_workflow_pauses (target, root, paused_at, paused_by) VALUES (v_target, v_root, v_now, p_by);
  UPDATE oban_workflow_groups SET rules = COALESCE(rules, 0) | 64 WHERE key = v_root;

  IF p_seconds IS NOT NULL OR p_moment IS NOT NULL THEN
    INSERT INTO oban_workflow_timers (target, kind, root, due)
    VALUES (v_target, 'pause', v_root, COALESCE(p_moment, v_now + make_interval(secs => p_seconds)));
  END IF;

  v_ids := ARRAY(
    SELECT
      id
    FROM
      oban_jobs
    WHERE
      id = ANY(ARRAY(SELECT p.id FROM oban_workflow_jobs_in(ARRAY[v_target]) p))
      AND (state IN ('available', 'scheduled', 'retryable')) IS TRUE
    ORDER BY
      id
    FOR NO KEY UPDATE
  );

  UPDATE
    oban_jobs
  SET
    state = 'suspended',
    meta = meta || jsonb_build_object('paused_from', state)
  WHERE
    id = ANY(v_ids);

  RETURN cardinality(v_ids);
END;
$$;
