-- What the list shows of root workflows beyond their counters: the jobs that execute, and the queues. Those are
-- looked up for a sample of the jobs, which differ little within a fan-out: 20 groups, 20 jobs of each.
WITH roots AS (
  SELECT
    g.key, g.id
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = ANY(%(ids)s::text[])
),
executing AS (
  SELECT
    g.root, count(*)::int AS count
  FROM
    /* TEMPLATE: schema */oban_jobs j
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = j.id
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.group_key
  WHERE
    j.state = 'executing'
  GROUP BY
    g.root
)
SELECT
  roots.id,
  COALESCE(executing.count, 0) AS executing,
  ARRAY(
    SELECT DISTINCT
      j.queue
    FROM
      (
        SELECT
          g.key
        FROM
          /* TEMPLATE: schema */oban_workflow_groups g
        WHERE
          g.root = roots.key
        LIMIT
          20
      ) groups
      CROSS JOIN LATERAL (
        SELECT
          m.id
        FROM
          /* TEMPLATE: schema */oban_workflow_members m
        WHERE
          m.group_key = groups.key
          AND m.id > 0
        LIMIT
          20
      ) sample
      JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = sample.id
    ORDER BY
      j.queue
  ) AS queues
FROM
  roots
  LEFT JOIN executing ON executing.root = roots.key
