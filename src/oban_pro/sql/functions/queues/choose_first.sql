-- Choose and lock the next jobs of a queue without a partition: as many as its limits leave.
--
-- p_limits is the row of the queue; NULL if it has no limits any more.
--
-- Called by: oban_workflow_fetch_limited, which holds the row of the queue.
-- Locks: the rows of the jobs; never waits for one.
-- Called twice: chooses the same again.
CREATE OR REPLACE FUNCTION oban_workflow_choose_first(p_limits oban_workflow_queues, p_queue text, p_demand integer)
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
DECLARE
  v_free integer := p_demand;
BEGIN
  IF p_limits.global_limit IS NOT NULL THEN
    v_free := LEAST(
      v_free,
      p_limits.global_limit - (
        SELECT
          count(*)
        FROM
          oban_jobs
        WHERE
          (state, queue) >= ('executing', p_queue)
          AND state = 'executing'
          AND queue <= p_queue
      ) - (
        SELECT
          count(*)
        FROM
          oban_workflow_unended u
          CROSS JOIN LATERAL (SELECT queue FROM oban_jobs WHERE id = u.id OFFSET 0) j
        WHERE
          j.queue = p_queue
      )
    );
  END IF;

  IF p_limits.allowed IS NOT NULL THEN
    v_free := LEAST(
      v_free,
      p_limits.allowed - COALESCE((SELECT started FROM oban_workflow_windows WHERE queue = p_queue AND value = 0), 0)
    );
  END IF;

  RETURN ARRAY(
    SELECT
      id
    FROM
      oban_jobs
    WHERE
      (state, queue) >= ('available', p_queue)
      AND state = 'available'
      AND queue <= p_queue
      AND attempt < max_attempts
    ORDER BY
      state ASC, queue ASC, priority ASC, scheduled_at ASC, id ASC
    LIMIT
      GREATEST(v_free, 0)
    FOR UPDATE SKIP LOCKED
  );
END;
$$;
