-- What the jobs of a workflow and of those nested in it recorded, groups before what is in them; or only of
-- some members by name. OFFSET 0: see PLANS.md.
WITH RECURSIVE tree AS (
  SELECT
    m.id, NULL::bigint AS parent, m.name, 0 AS depth
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    CROSS JOIN LATERAL (
      SELECT
        id, name
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        group_key = g.key
        AND %(names)s::text[] IS NULL
      UNION ALL
      -- each by itself: with = ANY(names) all members may be read, and their names compared
      SELECT
        named.id, n.name
      FROM
        (SELECT DISTINCT unnest(%(names)s::text[]) AS name) n
        CROSS JOIN LATERAL (
          SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = g.key AND name = n.name OFFSET 0
        ) named
    ) m
  WHERE
    g.id = %(id)s
  UNION ALL
  SELECT
    m.id, m.group_key, m.name, tree.depth + 1
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT * FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = tree.id OFFSET 0
    ) m
  WHERE
    tree.id < 0
)
SELECT
  tree.id, tree.parent, tree.name, COALESCE(g.kind, CASE WHEN j.worker = 'oban_pro.workers.BatchCascade' THEN 'batch' ELSE 'job' END) AS kind, j.meta ->> 'return' AS value
FROM
  tree
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = tree.id OFFSET 0
  ) g ON true
  LEFT JOIN LATERAL (
    SELECT meta, state, worker FROM /* TEMPLATE: schema */oban_jobs WHERE id = tree.id OFFSET 0
  ) j ON true
WHERE
  g.key IS NOT NULL
  OR (j.state = 'completed' AND j.meta -> 'recorded' = 'true')
ORDER BY
  tree.depth, abs(tree.id)
