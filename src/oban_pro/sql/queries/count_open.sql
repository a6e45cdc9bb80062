-- How many open jobs some members of workflows hold, those of nested ones included; a job that two of them hold counts once.
-- Final jobs count if they are named, or if told so.
-- OFFSET 0: see PLANS.md.
WITH RECURSIVE tree AS (
  SELECT
    m.id, true AS is_named
  FROM
    json_to_recordset(%(parts)s::json) AS part(workflow_id text, names text[])
    CROSS JOIN LATERAL (
      SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = part.workflow_id OFFSET 0
    ) g
    CROSS JOIN LATERAL unnest(part.names) AS named(name)
    CROSS JOIN LATERAL (
      SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = g.key AND name = named.name OFFSET 0
    ) m
  UNION
  SELECT
    m.id, false
  FROM
    tree
    CROSS JOIN LATERAL (
      SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = tree.id OFFSET 0
    ) m
  WHERE
    tree.id < 0
)
SELECT
  count(DISTINCT tree.id) AS open
FROM
  tree
  CROSS JOIN LATERAL (
    SELECT
      id
    FROM
      /* TEMPLATE: schema */oban_jobs
    WHERE
      id = tree.id
      AND state NOT IN ('completed', 'cancelled', 'discarded')
    OFFSET
      0
  ) j
WHERE
  tree.id > 0
  AND (
    tree.is_named
    OR %(finals)s
    OR NOT EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_finals WHERE id = tree.id)
  )
