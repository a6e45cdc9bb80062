-- Who serves which queue, with how many jobs at once, since when, whether it is paused there, when something was heard of
-- it, and how many jobs it executes. It reads the entries of executing jobs in oban's index on states alone.
WITH executing AS (
  SELECT
    j.attempted_by[2] AS uuid, count(*)::int AS count
  FROM
    /* TEMPLATE: schema */oban_jobs j
  WHERE
    j.state = 'executing'
  GROUP BY
    1
)
SELECT
  p.node,
  p.queue,
  p.meta ->> 'local_limit' AS slots,
  COALESCE((p.meta ->> 'paused')::boolean, false) AS is_paused,
  p.started_at,
  p.updated_at AS heard_at,
  l.uuid IS NOT NULL AS is_alive,
  COALESCE(e.count, 0) AS executing
FROM
  /* TEMPLATE: schema */oban_producers p
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_live_producers_v1() l ON l.uuid = p.uuid
  LEFT JOIN executing e ON e.uuid = p.uuid::text
ORDER BY
  p.node, p.queue, p.started_at
