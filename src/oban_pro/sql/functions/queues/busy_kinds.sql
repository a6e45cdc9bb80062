-- How many jobs of each kind of a queue execute, including stopped jobs whose executions have not ended. No rows if the
-- queue does not limit that.
--
-- Called by: oban_workflow_choose_kinds. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_busy_kinds(
  p_limits oban_workflow_queues,
  OUT kinds bigint[],
  OUT executing integer[]
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
  IF p_limits.global_limit IS NULL THEN
    RETURN;
  END IF;

  SELECT
    array_agg(b.value), array_agg(b.count)
  INTO
    kinds, executing
  FROM (
    SELECT
      oban_workflow_partition_v1(e.args, e.meta, e.worker, e.tags::text[], p_limits.fields, p_limits.keys) AS value,
      count(*)::int AS count
    FROM
      (
        SELECT
          args, meta, worker, tags
        FROM
          oban_jobs
        WHERE
          (state, queue) >= ('executing', p_limits.queue)
          AND state = 'executing'
          AND queue <= p_limits.queue
        UNION ALL
        SELECT
          j.args, j.meta, j.worker, j.tags
        FROM
          oban_workflow_unended u
          CROSS JOIN LATERAL (SELECT queue, args, meta, worker, tags FROM oban_jobs WHERE id = u.id OFFSET 0) j
        WHERE
          j.queue = p_limits.queue
      ) e
    GROUP BY
      1
  ) b;
END;
$$;
