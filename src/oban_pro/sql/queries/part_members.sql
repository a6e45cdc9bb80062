-- The next groups in a group, or any one member of it by name. What was grafted belongs to its graft. OFFSET 0 keeps to
-- lookups by key, whatever is known of the tables.
WITH holders AS (
  SELECT
    inside.key
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    CROSS JOIN LATERAL (
      SELECT g.key WHERE g.kind <> 'graft'
      UNION ALL
      (SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE parent = g.key AND g.kind = 'graft' OFFSET 0)
    ) inside
  WHERE
    g.key = %(part)s
)
SELECT
  m.id, m.name
FROM
  holders
  CROSS JOIN LATERAL (
    (SELECT key AS id FROM /* TEMPLATE: schema */oban_workflow_groups WHERE parent = holders.key AND %(name)s::text IS NULL OFFSET 0)
    UNION ALL
    (SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = holders.key AND name = %(name)s::text OFFSET 0)
  ) found
  CROSS JOIN LATERAL (
    SELECT id, name FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = found.id OFFSET 0
  ) m
WHERE
  m.id < %(before)s
  OR %(name)s::text IS NOT NULL
ORDER BY
  m.id DESC
LIMIT
  %(limit)s
