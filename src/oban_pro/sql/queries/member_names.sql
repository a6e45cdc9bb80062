-- Names of what was added to a workflow, its final jobs left out: 1,000 at most.
SELECT
  m.name
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
  CROSS JOIN LATERAL (
    SELECT
      id, name
    FROM
      /* TEMPLATE: schema */oban_workflow_members
    WHERE
      group_key = g.key
    ORDER BY
      name
    LIMIT
      1000
  ) m
WHERE
  g.id = %(id)s
  AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_finals WHERE id = m.id)
