-- The groups of a root workflow at the same paths as the groups of a new one, each with whether it and the groups around it
-- have the same context there. A new group comes with its number and that of the group that it is in. OFFSET 0: see PLANS.md.
WITH RECURSIVE given AS MATERIALIZED (
  SELECT
    *
  FROM
    json_to_recordset(%(groups)s::json) AS g(n integer, parent integer, name text, kind text, context jsonb)
),
found AS (
  SELECT
    given.n, g.key, g.id, g.context::text IS NOT DISTINCT FROM given.context::text AS is_alike, g.store
  FROM
    given
    CROSS JOIN LATERAL (
      SELECT
        key, id, context, store
      FROM
        /* TEMPLATE: schema */oban_workflow_groups
      WHERE
        id = %(id)s
        AND parent IS NULL
        AND NOT /* TEMPLATE: schema */oban_workflow_is_free_v1(key)
      OFFSET
        0
    ) g
  WHERE
    given.parent IS NULL
  UNION ALL
  SELECT
    given.n, g.key, g.id, found.is_alike AND g.context::text IS NOT DISTINCT FROM given.context::text, g.store
  FROM
    found
    JOIN given ON given.parent = found.n
    CROSS JOIN LATERAL (
      SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = found.key AND name = given.name OFFSET 0
    ) m
    CROSS JOIN LATERAL (
      SELECT key, id, kind, context, store FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.id OFFSET 0
    ) g
  WHERE
    g.kind = given.kind
)
SELECT
  n, key, id, is_alike, store
FROM
  found
