-- What the list shows of some root workflows at one moment, nested ones included: the number of jobs in each state, when
-- something last happened, and the queues of their jobs, each with a worker where somebody asks for workers. For these it
-- looks at a limited number of jobs, those of small groups first, because the jobs of a large group are likely alike. What
-- waits for a signal or a clock is found by the first that does, in a subquery that no planner can turn into a hash table.
WITH roots AS MATERIALIZED (
  SELECT
    g.key, g.id
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = ANY(%(ids)s::text[])
),
groups AS MATERIALIZED (
  SELECT
    g.*
  FROM
    roots
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.root = roots.key
),
active AS (
  SELECT
    j.id, j.state, j.attempted_at, j.attempted_at AS moved_at
  FROM
    /* TEMPLATE: schema */oban_jobs j
  WHERE
    j.state = 'executing'
  UNION ALL
  SELECT
    j.id, j.state, j.attempted_at, j.scheduled_at
  FROM
    groups g
    JOIN /* TEMPLATE: schema */oban_jobs j ON j.meta ->> 'workflow_id' = g.id
  WHERE
    g.state = 'executing'
    AND j.state IN ('scheduled', 'retryable')
    AND j.meta ? 'workflow_id'
),
open AS (
  SELECT
    g.root,
    count(*) FILTER (WHERE a.state = 'scheduled')::int AS scheduled,
    count(*) FILTER (WHERE a.state = 'executing')::int AS executing,
    count(*) FILTER (WHERE a.state = 'retryable')::int AS retryable,
    min(a.attempted_at) AS started_at,
    max(a.moved_at) AS moved_at
  FROM
    active a
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = a.id
    JOIN groups g ON g.key = m.group_key
  GROUP BY
    g.root
),
kept AS (
  SELECT
    g.root,
    sum(g.total)::int AS total,
    sum(g.suspended)::int AS suspended,
    sum(g.completed)::int AS completed,
    sum(g.cancelled)::int AS cancelled,
    sum(g.discarded)::int AS discarded,
    min(g.started_at) AS started_at,
    CASE WHEN bool_and(g.state <> 'executing') THEN max(g.stopped_at) END AS stopped_at,
    max(GREATEST(g.inserted_at, g.stopped_at, g.retried_at)) AS moved_at
  FROM
    groups g
  GROUP BY
    g.root
)
SELECT
  roots.id,
  kept.total,
  kept.suspended,
  kept.total - kept.suspended - kept.completed - kept.cancelled - kept.discarded - COALESCE(
    open.scheduled + open.executing + open.retryable, 0
  ) AS available,
  COALESCE(open.scheduled, 0) AS scheduled,
  COALESCE(open.executing, 0) AS executing,
  COALESCE(open.retryable, 0) AS retryable,
  kept.completed,
  kept.cancelled,
  kept.discarded,
  LEAST(kept.started_at, open.started_at) AS started_at,
  kept.stopped_at,
  GREATEST(kept.moved_at, open.moved_at) AS moved_at,
  COALESCE(
    (
      SELECT
        true
      FROM
        /* TEMPLATE: schema */oban_workflow_waits w
      WHERE
        w.root = roots.key
        AND w.is_open
        AND w.kind = 'signal'
      LIMIT
        1
    ),
    false
  ) AS is_waiting,
  COALESCE(
    (
      SELECT
        true
      FROM
        /* TEMPLATE: schema */oban_workflow_timers t
      WHERE
        t.root = roots.key
        AND t.kind NOT IN ('deadline', 'inner')
        AND t.due > timezone('UTC', now())
      LIMIT
        1
    ),
    false
  ) AS is_timed,
  ARRAY(
    SELECT DISTINCT
      ARRAY[j.queue, CASE WHEN %(workers)s THEN COALESCE(j.meta ->> 'handler', j.worker) END]
    FROM
      (
        SELECT
          m.id
        FROM
          (SELECT g.key FROM groups g WHERE g.root = roots.key ORDER BY g.total, g.key DESC) g
          CROSS JOIN LATERAL (
            SELECT
              m.id
            FROM
              /* TEMPLATE: schema */oban_workflow_members m
            WHERE
              m.group_key = g.key
              AND m.id > 0
          ) m
        LIMIT
          %(looked_at)s
      ) looked_at
      JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = looked_at.id
  ) AS seen
FROM
  roots
  JOIN kept ON kept.root = roots.key
  LEFT JOIN open ON open.root = roots.key
