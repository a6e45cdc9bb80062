-- The outcome of a workflow: how everything but its final jobs has settled, or 'executing' while any of that is open. And how
-- many of its jobs were cancelled or discarded, nested ones included.
WITH RECURSIVE tree AS (
  SELECT
    key, cancelled + discarded AS failed
  FROM
    /* TEMPLATE: schema */oban_workflow_groups
  WHERE
    id = %(id)s
  UNION ALL
  SELECT
    g.key, g.failed
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT key, cancelled + discarded AS failed FROM /* TEMPLATE: schema */oban_workflow_groups WHERE parent = tree.key OFFSET 0
    ) g
)
SELECT
  CASE WHEN e.group_key IS NULL THEN g.state ELSE COALESCE(e.outcome, 'executing') END AS state,
  (SELECT sum(failed)::int FROM tree) - COALESCE(e.cancelled + e.discarded, 0) AS failed
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_ends e ON e.group_key = g.key
WHERE
  g.id = %(id)s
