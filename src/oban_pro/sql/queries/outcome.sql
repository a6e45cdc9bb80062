-- The outcome of a workflow: how everything but its final jobs has settled, or 'executing' while any of that is open. And how
-- many of its jobs were cancelled or discarded, nested ones included.
SELECT
  CASE WHEN e.group_key IS NULL THEN g.state ELSE COALESCE(e.outcome, 'executing') END AS state,
  (SELECT sum(t.failed)::int FROM /* TEMPLATE: schema */oban_workflow_groups_in_v1(g.key) t) - COALESCE(e.cancelled + e.discarded, 0) AS failed
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_ends e ON e.group_key = g.key
WHERE
  g.id = %(id)s
