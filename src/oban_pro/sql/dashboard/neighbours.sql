-- The members that a job directly depends on, and those that depend on it. A gated job also depends on what its group
-- depends on, and everything that depends on a group depends on the jobs in it as well. OFFSET 0: see PLANS.md.
WITH neighbours AS (
  SELECT
    true AS upstream, e.upstream AS id
  FROM
    /* TEMPLATE: schema */oban_workflow_gates_v1(%(job)s) AS gates(id)
    CROSS JOIN LATERAL (
      SELECT upstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE downstream = gates.id OFFSET 0
    ) e
  UNION
  SELECT
    false, e.downstream
  FROM
    /* TEMPLATE: schema */oban_workflow_around_v1(%(job)s) around
    CROSS JOIN LATERAL (
      SELECT downstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE upstream = around.id OFFSET 0
    ) e
)
SELECT
  n.upstream,
  n.id,
  m.name,
  COALESCE(g.kind, 'job') AS kind,
  COALESCE(j.state::text, g.state, m.gone, 'unknown') AS state,
  g.id AS workflow_id,
  count(*) OVER (PARTITION BY n.upstream)::int AS total
FROM
  neighbours n
  CROSS JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = n.id OFFSET 0
  ) m
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = n.id OFFSET 0
  ) g ON true
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = n.id OFFSET 0
  ) j ON true
ORDER BY
  row_number() OVER (PARTITION BY n.upstream ORDER BY abs(n.id)), n.upstream
LIMIT
  %(limit)s
