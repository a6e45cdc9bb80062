-- Release suspended jobs that nothing is pending for; returns the queues that have work now.
--
-- Called by: oban_workflow_settle and oban_workflow_ack, with the jobs that became ready; by then some may
-- wait again. The caller wakes the queues.
-- Locks: the rows of the jobs, then those of their groups; the caller holds the root.
-- Twice: a released job is not suspended any more.
CREATE OR REPLACE FUNCTION oban_workflow_release(p_ids bigint[])
RETURNS text[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
  -- not the start of the transaction: a job may have been inserted since, while this one waited for the lock
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_ids bigint[];
  v_queues text[];
BEGIN
  IF cardinality(p_ids) = 0 THEN
    RETURN '{}';
  END IF;

  WITH released AS (
    UPDATE
      oban_jobs j
    SET
      state = CASE WHEN j.scheduled_at > v_now THEN 'scheduled' ELSE 'available' END::oban_job_state,
      scheduled_at = GREATEST(j.scheduled_at, v_now)
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
    array_agg(id), array_agg(DISTINCT queue) FILTER (WHERE state = 'available')
  INTO
    v_ids, v_queues
  FROM
    released;

  UPDATE
    oban_workflow_groups g
  SET
    suspended = g.suspended - r.released
  FROM (
    SELECT
      m.group_key AS key, count(*)::int AS released
    FROM
      unnest(v_ids) AS j(id)
      CROSS JOIN LATERAL (SELECT group_key FROM oban_workflow_members WHERE id = j.id OFFSET 0) m
    GROUP BY
      m.group_key
  ) r
  WHERE
    -- see oban_workflow_count
    g.key = ANY(ARRAY[r.key]);

  RETURN v_queues;
END;
$$;
