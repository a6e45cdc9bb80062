-- What the jobs of a workflow and of those nested in it recorded, groups before what is in them; or only of
-- some members by name.
WITH RECURSIVE tree AS (
  SELECT
    m.id, NULL::bigint AS parent, m.name, 0 AS depth
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = g.key
  WHERE
    g.id = %(id)s
    AND (%(names)s::text[] IS NULL OR m.name = ANY(%(names)s::text[]))
  UNION ALL
  SELECT
    m.id, m.group_key, m.name, tree.depth + 1
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT * FROM /* TEMPLATE: schema */oban_workflow_members m WHERE m.group_key = tree.id OFFSET 0
    ) m
  WHERE
    tree.id < 0
)
SELECT
  tree.id, tree.parent, tree.name, COALESCE(g.kind, 'job') AS kind, j.meta ->> 'return' AS value
FROM
  tree
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = tree.id
  LEFT JOIN LATERAL (
    -- one by one: guesses about recursion are far off, and a scan of all jobs looks cheaper
    SELECT j.meta, j.state FROM /* TEMPLATE: schema */oban_jobs j WHERE j.id = tree.id OFFSET 0
  ) j ON true
WHERE
  g.key IS NOT NULL
  OR (j.state = 'completed' AND j.meta -> 'recorded' = 'true')
ORDER BY
  tree.depth, abs(tree.id)
