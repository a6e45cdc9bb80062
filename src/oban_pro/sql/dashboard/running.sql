-- What executes now, the longest first: where, since when, and in which root workflow. It reads the entries of executing
-- jobs in oban's index on states alone, and looks up those that are returned.
WITH executing AS MATERIALIZED (
  SELECT
    j.id, j.queue, j.worker, j.attempted_by[1] AS node, j.attempted_at
  FROM
    /* TEMPLATE: schema */oban_jobs j
  WHERE
    j.state = 'executing'
  ORDER BY
    j.attempted_at, j.id
  LIMIT
    %(limit)s
)
SELECT
  e.id,
  e.queue,
  e.worker,
  e.node,
  e.attempted_at,
  r.id AS workflow_id,
  r.name AS workflow,
  CASE WHEN r.id IS NOT NULL THEN /* TEMPLATE: schema */oban_workflow_path_v1(e.id) END AS path
FROM
  executing e
  LEFT JOIN LATERAL (
    SELECT group_key FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = e.id OFFSET 0
  ) m ON true
  LEFT JOIN LATERAL (
    SELECT root FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.group_key OFFSET 0
  ) g ON true
  LEFT JOIN LATERAL (
    SELECT id, name FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = g.root OFFSET 0
  ) r ON true
ORDER BY
  e.attempted_at, e.id
