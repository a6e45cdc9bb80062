-- Those of some jobs that are in a workflow or in one nested in it: the workflow of each, its name there, and its path from
-- the root. OFFSET 0: see PLANS.md.
SELECT
  m.id, g.id AS workflow_id, m.name, /* TEMPLATE: schema */oban_workflow_path_v1(m.id) AS path
FROM
  (SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = %(id)s OFFSET 0) top
  CROSS JOIN unnest(%(jobs)s::bigint[]) AS picked(id)
  CROSS JOIN LATERAL (
    SELECT id, group_key, name FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = picked.id OFFSET 0
  ) m
  CROSS JOIN LATERAL (
    SELECT id FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.group_key OFFSET 0
  ) g
WHERE
  EXISTS (
    SELECT FROM /* TEMPLATE: schema */oban_workflow_around_v1(m.id) around WHERE around.id = top.key
  )
