-- Members of a workflow by path: which workflow each is in, and its name there. A path that equals the name of a member
-- means that member; else its parts lead from group to group. What was grafted stands where its graft does.
-- OFFSET 0: see PLANS.md.
WITH RECURSIVE walk AS (
  SELECT
    asked.n, asked.parts, found.depth, top.key AS group_key, found.id, found.name
  FROM
    json_to_recordset(%(paths)s::json) AS asked(n integer, path text, parts text[])
    CROSS JOIN (
      SELECT
        key
      FROM
        /* TEMPLATE: schema */oban_workflow_groups
      WHERE
        id = %(id)s
        AND NOT /* TEMPLATE: schema */oban_workflow_is_free_v1(root)
    ) top
    CROSS JOIN LATERAL (
      SELECT
        m.id, m.name, way.depth
      FROM
        (VALUES (1, asked.path, cardinality(asked.parts)), (2, asked.parts[1], 1)) AS way(rank, name, depth)
        CROSS JOIN LATERAL (
          SELECT id, name FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = top.key AND name = way.name OFFSET 0
        ) m
      ORDER BY
        way.rank
      LIMIT
        1
    ) found
  UNION ALL
  SELECT
    walk.n, walk.parts, walk.depth + 1, inner_group.key, m.id, m.name
  FROM
    walk
    CROSS JOIN LATERAL (
      SELECT key, kind FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = walk.id OFFSET 0
    ) g
    CROSS JOIN LATERAL (
      SELECT g.key WHERE g.kind <> 'graft' OR walk.parts[walk.depth + 1] = 'when'
      UNION ALL
      (SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE parent = g.key AND g.kind = 'graft' OFFSET 0)
    ) inner_group
    CROSS JOIN LATERAL (
      SELECT
        id, name
      FROM
        /* TEMPLATE: schema */oban_workflow_members
      WHERE
        group_key = inner_group.key
        AND name = walk.parts[walk.depth + 1]
      OFFSET
        0
    ) m
  WHERE
    walk.id < 0
    AND walk.depth < cardinality(walk.parts)
)
SELECT
  walk.n, g.id AS workflow_id, walk.name
FROM
  walk
  CROSS JOIN LATERAL (
    SELECT id FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = walk.group_key OFFSET 0
  ) g
WHERE
  walk.depth = cardinality(walk.parts)
