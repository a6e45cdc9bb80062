-- A workflow and those it is nested in, the root first: id, and the name it goes by there.
WITH RECURSIVE place AS (
  SELECT
    g.key, g.id, g.name, g.parent, g.kind, g.inserted_at, 0 AS height
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    g.key, g.id, g.name, g.parent, g.kind, g.inserted_at, place.height + 1
  FROM
    place
    JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = place.parent
)
SELECT
  place.id, COALESCE(m.name, place.name) AS name, place.kind, place.inserted_at
FROM
  place
  LEFT JOIN LATERAL (
    SELECT name FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = place.key OFFSET 0
  ) m ON true
ORDER BY
  place.height DESC
