-- Release suspended jobs that nothing is pending for, and wake the queues they are in.
--
-- Called by: oban_workflow_settle, with the jobs that became ready; by then some may wait again.
-- Locks: the rows of the jobs, then those of their groups; the caller holds the root.
-- Twice: a released job is not suspended any more.
CREATE OR REPLACE FUNCTION oban_workflow_release(p_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
  -- not the start of the transaction: a job may have been inserted since, while this one waited for the lock
  v_now timestamp := timezone('UTC', clock_timestamp());
  v_queue text;
BEGIN
  IF cardinality(p_ids) = 0 THEN
    RETURN;
  END IF;

  FOR v_queue IN
    WITH released AS (
      UPDATE
        oban_jobs j
      SET
        state = CASE WHEN j.scheduled_at > v_now THEN 'scheduled' ELSE 'available' END::oban_job_state,
        scheduled_at = GREATEST(j.scheduled_at, v_now)
      FROM
        unnest(p_ids) AS r(id)
        -- OFFSET 0 keeps the planner from searching the array once for each job
        CROSS JOIN LATERAL (
          SELECT group_key, pending FROM oban_workflow_members WHERE id = r.id OFFSET 0
        ) m
      WHERE
        m.pending = 0
        AND j.id = r.id
        AND (j.state = 'suspended') IS TRUE
      RETURNING
        m.group_key, j.queue, j.state
    ),
    counted AS (
      UPDATE
        oban_workflow_groups g
      SET
        suspended = g.suspended - r.released
      FROM
        (SELECT group_key, count(*)::int AS released FROM released GROUP BY group_key) r
      WHERE
        g.key = r.group_key
    )
    SELECT DISTINCT
      queue
    FROM
      released
    WHERE
      state = 'available'
  LOOP
    PERFORM oban_workflow_wake(v_queue);
  END LOOP;
END;
$$;
