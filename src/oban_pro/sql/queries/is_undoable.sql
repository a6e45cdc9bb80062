-- Whether a workflow holds jobs with an undo, nested ones included.
WITH RECURSIVE tree AS (
  SELECT
    %(key)s::bigint AS key
  UNION ALL
  SELECT
    g.key
  FROM
    tree
    CROSS JOIN LATERAL (SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE parent = tree.key OFFSET 0) g
)
SELECT
  true
FROM
  tree
  CROSS JOIN LATERAL (SELECT id FROM /* TEMPLATE: schema */oban_workflow_undos WHERE group_key = tree.key LIMIT 1) u
LIMIT
  1
