-- The final jobs of a workflow and of all nested ones, and the grafts that undo them, each by its path from the workflow:
-- those that are nested less come first. For a root without any, this is one lookup. OFFSET 0: see PLANS.md.
WITH ends AS MATERIALIZED (
  SELECT
    e.group_key, e.undo, tree.path
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_groups_by_path_v1(g.key) tree
    CROSS JOIN LATERAL (
      SELECT group_key, undo FROM /* TEMPLATE: schema */oban_workflow_ends WHERE group_key = tree.key OFFSET 0
    ) e
  WHERE
    g.id = %(id)s
    AND (SELECT rules & 16 > 0 FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = g.root)
)
SELECT
  found.path, found.state
FROM
  (
    SELECT
      ends.path || 'undo'::text AS path, g.state, 0 AS id
    FROM
      ends
      CROSS JOIN LATERAL (
        SELECT state FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = ends.undo AND ends.undo < 0 OFFSET 0
      ) g
    UNION ALL
    SELECT
      ends.path || m.name,
      COALESCE(/* TEMPLATE: schema */oban_workflow_job_state_v1(j.state::text, j.attempt, j.meta), m.gone, 'unknown'),
      f.id
    FROM
      ends
      CROSS JOIN LATERAL (
        SELECT id FROM /* TEMPLATE: schema */oban_workflow_finals WHERE group_key = ends.group_key OFFSET 0
      ) f
      CROSS JOIN LATERAL (
        SELECT name, gone FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = f.id OFFSET 0
      ) m
      LEFT JOIN LATERAL (
        SELECT state, attempt, meta FROM /* TEMPLATE: schema */oban_jobs WHERE id = f.id OFFSET 0
      ) j ON true
  ) found
ORDER BY
  cardinality(found.path), found.path[:cardinality(found.path) - 1], found.id
LIMIT
  %(limit)s
