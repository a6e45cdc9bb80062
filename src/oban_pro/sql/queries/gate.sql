-- What a group depends on, or the group around it where it is gated: the same rows as members.sql, and the
-- workflow that each is in.
WITH RECURSIVE gates AS (
  SELECT
    m.id, m.group_key, m.gated
  FROM
    /* TEMPLATE: schema */oban_workflow_members m
  WHERE
    m.id = %(key)s
  UNION ALL
  SELECT
    m.id, m.group_key, m.gated
  FROM
    gates
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = gates.group_key
  WHERE
    gates.gated
)
SELECT
  m.id,
  m.name,
  COALESCE(m.gone, g.state, j.state::text) AS state,
  COALESCE(g.kind, 'job') AS kind,
  COALESCE(g.id, h.id) AS workflow_id
FROM
  gates
  JOIN /* TEMPLATE: schema */oban_workflow_edges e ON e.downstream = gates.id
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = e.upstream
  JOIN /* TEMPLATE: schema */oban_workflow_groups h ON h.key = m.group_key
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.id
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
