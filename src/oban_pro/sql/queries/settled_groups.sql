-- Workflows of a root that have settled, that of the root and those nested in it.
SELECT
  g.key
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
WHERE
  g.root = (SELECT root FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = %(id)s)
  AND g.settled_at IS NOT NULL
