-- Bring jobs back that a pause had suspended, each to the state that it was in, and with its time: a job whose time
-- came during the pause is available. Returns them, and the queues that have work now. Other jobs are passed over.
--
-- Called by: oban_workflow_release, with jobs that may start.
-- Locks: the rows of the jobs; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_bring_back(p_ids bigint[], p_now timestamp, OUT ids bigint[], OUT queues text[])
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH returned AS (
    UPDATE
      oban_jobs
    SET
      state = CASE
        WHEN scheduled_at > p_now THEN meta ->> 'paused_from'
        ELSE 'available'
      END::oban_job_state,
      meta = meta - 'paused_from'
    WHERE
      id = ANY(p_ids)
      AND (state = 'suspended') IS TRUE
      AND meta ->> 'paused_from' IN ('available', 'scheduled', 'retryable')
    RETURNING
      id, queue, state
  )
  SELECT
    COALESCE(array_agg(r.id), '{}'), array_agg(DISTINCT r.queue) FILTER (WHERE r.state = 'available')
  INTO
    ids, queues
  FROM
    returned r;
END;
$$;
