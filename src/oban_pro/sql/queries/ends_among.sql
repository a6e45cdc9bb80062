-- Which of some members of a workflow are final jobs, or the graft that undoes it.
SELECT
  m.name
FROM
  (
    SELECT id FROM /* TEMPLATE: schema */oban_workflow_finals WHERE group_key = %(key)s
    UNION ALL
    SELECT undo FROM /* TEMPLATE: schema */oban_workflow_ends WHERE group_key = %(key)s AND undo < 0
  ) e
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = e.id
WHERE
  m.name = ANY(%(names)s)
ORDER BY
  m.name
