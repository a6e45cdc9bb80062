-- The graft point of a grafter, what was grafted to it, whether what it depends on is satisfied, and whether
-- the grafter still executes.
SELECT
  g.key,
  g.root,
  grafted.id AS grafted,
  gate.pending <= 0 AS satisfied,
  j.state::text AS state,
  j.attempted_at,
  COALESCE(root.rules, 0) AS rules
FROM
  /* TEMPLATE: schema */oban_workflow_members m
  JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.group_key AND g.kind = 'graft'
  JOIN /* TEMPLATE: schema */oban_workflow_groups root ON root.key = g.root
  JOIN /* TEMPLATE: schema */oban_workflow_members gate ON gate.id = g.key
  JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups grafted ON grafted.parent = g.key
WHERE
  m.id = %(job)s
