-- Choose the next jobs of a queue with a partition among the first p_size in line: of each kind as many as its limits
-- leave. p_held are jobs to leave out, p_executing says how many jobs of each of p_kinds execute. Also returns how many
-- jobs it looked at.
--
-- Called by: oban_workflow_choose_kinds, which locks them. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_choose_front(
  p_limits oban_workflow_queues,
  p_demand integer,
  p_size integer,
  p_held bigint[],
  p_kinds bigint[],
  p_executing integer[],
  OUT ids bigint[],
  OUT seen integer
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
BEGIN
  WITH front AS MATERIALIZED (
    SELECT
      f.id,
      f.place,
      oban_workflow_partition_v1(f.args, f.meta, f.worker, f.tags::text[], p_limits.fields, p_limits.keys) AS value
    FROM
      (
        SELECT
          id,
          args,
          meta,
          worker,
          tags,
          row_number() OVER (ORDER BY state ASC, queue ASC, priority ASC, scheduled_at ASC, id ASC) AS place
        FROM
          oban_jobs
        WHERE
          (state, queue) >= ('available', p_limits.queue)
          AND state = 'available'
          AND queue <= p_limits.queue
          AND attempt < max_attempts
        ORDER BY
          state ASC, queue ASC, priority ASC, scheduled_at ASC, id ASC
        LIMIT
          p_size
      ) f
  ),
  ranked AS (
    SELECT
      f.id, f.place, f.value, row_number() OVER (PARTITION BY f.value ORDER BY f.place) AS number
    FROM
      front f
    WHERE
      f.id <> ALL(p_held)
  ),
  chosen AS (
    SELECT
      r.id
    FROM
      ranked r
      LEFT JOIN unnest(p_kinds, p_executing) AS e(value, executing) ON e.value = r.value
      LEFT JOIN oban_workflow_windows w ON w.queue = p_limits.queue AND w.value = r.value
    WHERE
      (p_limits.global_limit IS NULL OR r.number <= p_limits.global_limit - COALESCE(e.executing, 0))
      AND (p_limits.allowed IS NULL OR r.number <= p_limits.allowed - COALESCE(w.started, 0))
    ORDER BY
      r.place
    LIMIT
      p_demand
  )
  SELECT
    ARRAY(SELECT c.id FROM chosen c), (SELECT count(*) FROM front)
  INTO
    ids, seen;
END;
$$;
