-- Which of some members of a workflow are final jobs.
SELECT
  m.name
FROM
  /* TEMPLATE: schema */oban_workflow_finals f
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = f.id
WHERE
  f.group_key = %(key)s
  AND m.name = ANY(%(names)s)
ORDER BY
  m.name
