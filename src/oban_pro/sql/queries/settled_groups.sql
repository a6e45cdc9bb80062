-- Which workflows of a root have settled, the root included; whether the root has a key; and whether any of its workflows
-- has a store.
SELECT
  COALESCE(array_agg(g.key) FILTER (WHERE g.settled_at IS NOT NULL), '{}'),
  COALESCE(bool_or(g.unique_key IS NOT NULL), false),
  COALESCE(bool_or(g.store IS NOT NULL), false)
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
WHERE
  g.root = (SELECT root FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = %(id)s)
