-- Members of a group that may tell why it is in its state: some of each kind, however many there are. A small group
-- comes whole. Of a large one come jobs that run, that wait for a time or that broke, and some of those that were made
-- runnable together with its first one, and waits that are open.
--
-- p_broken tells whether the group broke; otherwise it is open.
--
-- Called by: the query that explains a job. Locks nothing. Its plan is kept: each scan is one of an index.
CREATE OR REPLACE FUNCTION oban_workflow_telling_members_v1(p_group bigint, p_broken boolean)
RETURNS SETOF bigint
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
  v_id text;
  v_root bigint;
BEGIN
  SELECT id, root INTO v_id, v_root FROM oban_workflow_groups WHERE key = p_group;

  RETURN QUERY
  WITH first AS MATERIALIZED (
    SELECT id FROM oban_workflow_members WHERE group_key = p_group ORDER BY name LIMIT 10
  )
  SELECT
    first.id
  FROM
    first
  UNION
  (
    SELECT
      g.key
    FROM
      oban_workflow_groups g
    WHERE
      g.parent = p_group
      AND g.state <> 'completed'
    LIMIT
      10
  )
  UNION
  (
    SELECT
      j.id
    FROM
      oban_jobs j
    WHERE
      j.meta ->> 'workflow_id' = v_id
      AND j.meta ? 'workflow_id'
      AND j.state = 'discarded'
      AND p_broken
    ORDER BY
      j.id
    LIMIT
      3
  )
  UNION
  (
    SELECT
      j.id
    FROM
      oban_jobs j
    WHERE
      j.meta ->> 'workflow_id' = v_id
      AND j.meta ? 'workflow_id'
      AND j.state = 'cancelled'
      AND p_broken
    ORDER BY
      j.id
    LIMIT
      3
  )
  UNION
  (
    SELECT
      j.id
    FROM
      oban_jobs j
    WHERE
      j.meta ->> 'workflow_id' = v_id
      AND j.meta ? 'workflow_id'
      AND j.state IN ('scheduled', 'retryable')
      AND NOT p_broken
    LIMIT
      3
  )
  UNION
  (
    SELECT
      j.id
    FROM
      oban_jobs j
    WHERE
      j.state = 'executing'
      AND j.meta ->> 'workflow_id' = v_id
      AND NOT p_broken
    LIMIT
      3
  )
  UNION
  (
    SELECT
      other.id
    FROM
      (SELECT min(id) AS id FROM first WHERE id > 0) f
      CROSS JOIN LATERAL (SELECT queue, priority, scheduled_at FROM oban_jobs WHERE id = f.id OFFSET 0) j
      CROSS JOIN LATERAL (
        SELECT
          id, meta
        FROM
          oban_jobs
        WHERE
          state = 'available'
          AND queue = j.queue
          AND priority = j.priority
          AND scheduled_at = j.scheduled_at
        ORDER BY
          id
        LIMIT
          10
      ) other
    WHERE
      other.meta ->> 'workflow_id' = v_id
      AND NOT p_broken
    LIMIT
      1
  )
  UNION
  (
    SELECT
      w.id
    FROM
      oban_workflow_waits w
    WHERE
      w.is_open
      AND w.kind IN ('signal', 'timer')
      AND w.root = v_root
      AND w.group_key = p_group
      AND NOT p_broken
    LIMIT
      3
  );
END;
$$;
