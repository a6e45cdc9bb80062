-- Values in the bookkeeping of one workflow's root, or of all roots, that contradict the states of jobs.
SELECT
  a.root_id, a.workflow_id, a.name, a.field, a.stored, a.actual
FROM
  /* TEMPLATE: schema */oban_workflow_audit_v1(
    (SELECT root FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = %(id)s)
  ) a
WHERE
  %(id)s::text IS NULL
  OR EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = %(id)s)
