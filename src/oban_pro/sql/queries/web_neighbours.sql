-- What a job directly depends on, and what depends on it. Where it waits for the gate of its group that is what
-- the group depends on, and what waits for the group waits for the job as well.
WITH RECURSIVE gates AS (
  SELECT
    m.id, m.group_key, m.gated
  FROM
    /* TEMPLATE: schema */oban_workflow_members m
  WHERE
    m.id = %(job)s
  UNION ALL
  SELECT
    m.id, m.group_key, m.gated
  FROM
    gates
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = gates.group_key
  WHERE
    gates.gated
),
around AS (
  SELECT
    m.id, m.group_key
  FROM
    /* TEMPLATE: schema */oban_workflow_members m
  WHERE
    m.id = %(job)s
  UNION ALL
  SELECT
    m.id, m.group_key
  FROM
    around
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = around.group_key
),
neighbours AS (
  SELECT
    true AS upstream, e.upstream AS id
  FROM
    gates
    JOIN /* TEMPLATE: schema */oban_workflow_edges e ON e.downstream = gates.id
  UNION
  SELECT
    false, e.downstream
  FROM
    around
    JOIN /* TEMPLATE: schema */oban_workflow_edges e ON e.upstream = around.id
)
SELECT
  n.upstream,
  n.id,
  m.name,
  COALESCE(g.kind, 'job') AS kind,
  COALESCE(j.state::text, g.state, m.gone) AS state,
  g.id AS workflow_id,
  count(*) OVER (PARTITION BY n.upstream)::int AS total
FROM
  neighbours n
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = n.id
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = n.id
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = n.id
ORDER BY
  row_number() OVER (PARTITION BY n.upstream ORDER BY abs(n.id)), n.upstream
LIMIT
  %(limit)s
