-- Counters of a workflow and of all workflows nested in it, parents first. Settled and suspended jobs are
-- kept counted; of the others, those that execute are few on a cluster and those that wait for a time have
-- an index of their own; what remains is available.
WITH RECURSIVE tree AS (
  SELECT
    g.key, 0 AS depth, NULL::text AS sub_name
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    g.key, tree.depth + 1, m.name
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.parent = tree.key
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = g.key
),
groups AS MATERIALIZED (
  SELECT
    tree.depth, tree.sub_name, g.*
  FROM
    tree
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = tree.key
),
active AS MATERIALIZED (
  SELECT
    j.id, j.state, j.attempted_at
  FROM
    /* TEMPLATE: schema */oban_jobs j
  WHERE
    j.state = 'executing'
    AND EXISTS (SELECT FROM groups WHERE state = 'executing')
  UNION ALL
  SELECT
    j.id, j.state, j.attempted_at
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
    m.group_key,
    count(*) FILTER (WHERE a.state = 'scheduled')::int AS scheduled,
    count(*) FILTER (WHERE a.state = 'executing')::int AS executing,
    count(*) FILTER (WHERE a.state = 'retryable')::int AS retryable,
    min(a.attempted_at) AS started_at
  FROM
    active a
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = a.id
  GROUP BY
    m.group_key
)
SELECT
  g.key,
  g.parent,
  g.id,
  g.name,
  g.sub_name,
  g.kind,
  g.state,
  g.total,
  g.suspended,
  COALESCE(o.scheduled, 0) AS scheduled,
  COALESCE(o.executing, 0) AS executing,
  COALESCE(o.retryable, 0) AS retryable,
  g.completed,
  g.cancelled,
  g.discarded,
  LEAST(g.started_at, o.started_at) AS started_at,
  g.stopped_at
FROM
  groups g
  LEFT JOIN open o ON o.group_key = g.key
ORDER BY
  g.depth, g.key DESC
