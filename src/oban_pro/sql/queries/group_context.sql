-- The context that was added to a workflow, as JSON text.
SELECT
  context::text AS context
FROM
  /* TEMPLATE: schema */oban_workflow_groups
WHERE
  id = %(id)s
  AND NOT /* TEMPLATE: schema */oban_workflow_is_free_v1(root)
