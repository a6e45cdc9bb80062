-- Release suspended jobs that nothing is pending for, at the given time; returns them, and the queues that have
-- work now.
--
-- Called by: oban_workflow_carry, which counts them.
-- Locks: the rows of the jobs; the caller holds the root.
-- Twice: a released job is not suspended any more.
CREATE OR REPLACE FUNCTION oban_workflow_release(p_ids bigint[], p_now timestamp, OUT ids bigint[], OUT queues text[])
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  WITH released AS (
    UPDATE
      oban_jobs j
    SET
      state = CASE WHEN j.scheduled_at > p_now THEN 'scheduled' ELSE 'available' END::oban_job_state,
      scheduled_at = GREATEST(j.scheduled_at, p_now)
    WHERE
      j.id = ANY(ARRAY(
        SELECT
          m.id
        FROM
          unnest(p_ids) AS r(id)
          CROSS JOIN LATERAL (
            SELECT id, group_key, gated FROM oban_workflow_members WHERE id = r.id AND pending = 0 OFFSET 0
          ) m
        WHERE
          NOT m.gated
          OR (SELECT pending = 0 FROM oban_workflow_members WHERE id = m.group_key)
      ))
      AND (j.state = 'suspended') IS TRUE
    RETURNING
      j.id, j.queue, j.state
  )
  SELECT
    COALESCE(array_agg(r.id), '{}'), array_agg(DISTINCT r.queue) FILTER (WHERE r.state = 'available')
  INTO
    ids, queues
  FROM
    released r;
END;
$$;
