-- A workflow and those it is nested in, the root first: id, and the name it goes by there.
WITH RECURSIVE crumbs AS (
  SELECT
    g.key, g.id, g.name, g.parent, g.kind, g.inserted_at, 0 AS height
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    g.key, g.id, g.name, g.parent, g.kind, g.inserted_at, crumbs.height + 1
  FROM
    crumbs
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = crumbs.parent
)
SELECT
  crumbs.id, COALESCE(m.name, crumbs.name) AS name, crumbs.kind, crumbs.inserted_at
FROM
  crumbs
  LEFT JOIN LATERAL (
    SELECT name FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = crumbs.key OFFSET 0
  ) m ON true
ORDER BY
  crumbs.height DESC
