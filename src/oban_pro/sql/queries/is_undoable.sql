-- Whether a workflow holds jobs with an undo, nested ones included.
SELECT
  true
FROM
  /* TEMPLATE: schema */oban_workflow_groups_in_v1(%(key)s::bigint) tree
  CROSS JOIN LATERAL (SELECT id FROM /* TEMPLATE: schema */oban_workflow_undos WHERE group_key = tree.key LIMIT 1) u
LIMIT
  1
