-- Choose the next jobs of a queue with a partition, by the index of the partition: of each kind as many as its limits
-- leave, no matter how many other jobs are in front. p_held are jobs to leave out, p_executing how many of each of
-- p_kinds execute.
--
-- It jumps from kind to kind, and reads of each no more than it may take.
--
-- Called by: oban_workflow_choose_kinds, which locks them. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_choose_indexed(
  p_limits oban_workflow_queues,
  p_demand integer,
  p_held bigint[],
  p_kinds bigint[],
  p_executing integer[]
)
RETURNS bigint[]
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
  v_kind text := oban_workflow_kind_of(p_limits.fields, p_limits.keys);
  v_where text := 'state = ''available'' AND queue = ' || quote_literal(p_limits.queue);
  v_ids bigint[];
BEGIN
  EXECUTE
    'WITH RECURSIVE kinds AS (
      (SELECT ' || v_kind || ' AS value FROM oban_jobs WHERE ' || v_where || ' ORDER BY 1 LIMIT 1)
      UNION ALL
      SELECT
        (SELECT ' || v_kind || ' FROM oban_jobs WHERE ' || v_where || ' AND ' || v_kind || ' > k.value ORDER BY 1 LIMIT 1)
      FROM kinds k
      WHERE k.value IS NOT NULL
    ),
    free AS (
      SELECT k.value, LEAST($2, $1.global_limit - COALESCE(e.executing, 0), $1.allowed - COALESCE(w.started, 0)) AS free
      FROM kinds k
        LEFT JOIN unnest($4, $5) AS e(value, executing) ON e.value = k.value
        LEFT JOIN oban_workflow_windows w ON w.queue = $1.queue AND w.value = k.value
      WHERE k.value IS NOT NULL
    ),
    chosen AS (
      SELECT j.*
      FROM free f
        CROSS JOIN LATERAL (
          SELECT id, priority, scheduled_at
          FROM oban_jobs
          WHERE ' || v_where || ' AND ' || v_kind || ' = f.value AND attempt < max_attempts AND id <> ALL($3)
          ORDER BY priority, scheduled_at, id
          LIMIT f.free
        ) j
      WHERE f.free > 0
      ORDER BY j.priority, j.scheduled_at, j.id
      LIMIT $2
    )
    SELECT array_agg(id) FROM chosen'
  USING
    p_limits, p_demand, p_held, p_kinds, p_executing
  INTO
    v_ids;

  RETURN COALESCE(v_ids, '{}');
END;
$$;
