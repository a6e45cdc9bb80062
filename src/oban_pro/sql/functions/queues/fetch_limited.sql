-- Take the next jobs of a queue with limits over all nodes. The limits say how many may execute at once, and how many
-- may start in a period, in total or of each kind.
--
-- The executing jobs are counted anew each time, so a killed node leaves no wrong counter behind: its jobs count until
-- they are rescued. An execution whose job was stopped counts until it has ended.
--
-- Called by: oban_workflow_fetch_v1.
-- Locks: the row of the queue until the end of the transaction, so that its jobs are taken by one node at a time; then
-- the rows of the jobs, without waiting for any. An ack holds roots already, so after its lock_timeout it takes no
-- jobs, and notifies the queue instead.
-- Called twice: takes other jobs.
CREATE OR REPLACE FUNCTION oban_workflow_fetch_limited(p_queue text, p_demand integer, p_attempted_by text[])
RETURNS SETOF oban_jobs
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
  v_queue oban_workflow_queues;
  v_now timestamp;
  v_ids bigint[];
BEGIN
  BEGIN
    SELECT * FROM oban_workflow_queues WHERE queue = p_queue FOR NO KEY UPDATE INTO v_queue;
  EXCEPTION
    WHEN lock_not_available THEN
      PERFORM oban_workflow_notify_queues_v1(ARRAY[p_queue]);

      RETURN;
  END;

  v_now := timezone('UTC', clock_timestamp());

  DELETE FROM
    oban_workflow_windows
  WHERE
    queue = p_queue
    -- one from the future is from before the clock was set back
    AND opened_at NOT BETWEEN v_now - make_interval(secs => v_queue.period) AND v_now;

  v_ids := CASE
    WHEN v_queue.fields IS NULL THEN oban_workflow_choose_first(v_queue, p_queue, p_demand)
    ELSE oban_workflow_choose_kinds(v_queue, p_demand)
  END;

  IF v_queue.allowed IS NOT NULL THEN
    INSERT INTO oban_workflow_windows AS w (queue, value, opened_at, started)
    SELECT
      p_queue, k.value, v_now, count(*)
    FROM
      oban_jobs j
      CROSS JOIN LATERAL (
        SELECT
          CASE
            WHEN v_queue.fields IS NULL THEN 0
            ELSE oban_workflow_partition_v1(j.args, j.meta, j.worker, j.tags::text[], v_queue.fields, v_queue.keys)
          END AS value
      ) k
    WHERE
      j.id = ANY(v_ids)
    GROUP BY
      k.value
    ON CONFLICT ON CONSTRAINT oban_workflow_windows_pkey DO UPDATE
    SET
      started = w.started + excluded.started;
  END IF;

  RETURN QUERY
  WITH taken AS (
    UPDATE
      oban_jobs j
    SET
      attempt = j.attempt + 1,
      attempted_at = timezone('UTC', clock_timestamp()),
      attempted_by = p_attempted_by,
      state = 'executing'
    WHERE
      j.id = ANY(v_ids)
    RETURNING
      j.*
  )
  SELECT
    *
  FROM
    taken
  ORDER BY
    priority ASC, scheduled_at ASC, id ASC;
END;
$$;
