-- Take jobs back that nobody runs any more; returns how many. One with attempts left becomes available, any
-- other discarded.
--
-- p_stamps are when they were attempted: a job that was settled meanwhile, or taken anew, is passed over.
--
-- Called by: oban_workflow_rescue; and by nodes, with jobs that were taken for them and never arrived.
-- Locks: the roots, then the jobs; gives up after lock_timeout, and the caller tries again.
-- Twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_give_back(p_ids bigint[], p_stamps timestamp[])
RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  v_now timestamp := timezone('UTC', now());
  v_queues text[];
  v_rescued integer;
BEGIN
  PERFORM set_config('lock_timeout', '200ms', true);
  PERFORM oban_workflow_lock_roots(p_ids);

  WITH locked AS (
    SELECT
      j.id
    FROM
      oban_jobs j
      JOIN unnest(p_ids, p_stamps) AS r(id, attempted_at) ON r.id = j.id
    WHERE
      -- nobody has settled it meanwhile, or taken it anew
      j.attempted_at IS NOT DISTINCT FROM r.attempted_at
      AND (j.state IN ('executing', 'available')) IS TRUE
    ORDER BY
      j.id
    FOR NO KEY UPDATE OF j
  ),
  rescued AS (
    UPDATE
      oban_jobs j
    SET
      state = CASE WHEN j.attempt >= j.max_attempts THEN 'discarded' ELSE 'available' END::oban_job_state,
      discarded_at = CASE WHEN j.attempt >= j.max_attempts THEN v_now ELSE j.discarded_at END,
      meta = CASE
        WHEN j.attempt >= j.max_attempts THEN j.meta
        ELSE j.meta || jsonb_build_object('rescued', COALESCE((j.meta ->> 'rescued')::int, 0) + 1)
      END
    FROM
      locked
    WHERE
      j.id = locked.id
    RETURNING
      j.queue, j.state
  )
  SELECT
    count(*), array_agg(DISTINCT queue) FILTER (WHERE state = 'available')
  INTO
    v_rescued, v_queues
  FROM
    rescued;

  PERFORM oban_workflow_wake(v_queues);

  RETURN v_rescued;
END;
$$;
