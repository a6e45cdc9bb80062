-- The members that a group depends on; if the group is gated, also those that the group around it depends on. The columns
-- are those of members.sql, and the workflow that each member is in. OFFSET 0: see PLANS.md.
SELECT
  m.id,
  m.name,
  CASE
    WHEN /* TEMPLATE: schema */oban_workflow_was_skipped_v1(j.state::text, j.attempt, j.meta)
      OR /* TEMPLATE: schema */oban_workflow_group_was_skipped_v2(g.key, g.state, g.total, g.subs, g.skipped, g.subs_skipped, g.skips, g.judged)
      THEN 'skipped'
    ELSE COALESCE(j.state::text, g.state, m.gone, 'unknown')
  END AS state,
  COALESCE(g.kind, 'job') AS kind,
  COALESCE(g.id, h.id) AS workflow_id
FROM
  /* TEMPLATE: schema */oban_workflow_gates_v1(%(key)s) AS gates(id)
  CROSS JOIN LATERAL (
    SELECT upstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE downstream = gates.id OFFSET 0
  ) e
  CROSS JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = e.upstream OFFSET 0
  ) m
  CROSS JOIN LATERAL (
    SELECT id FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.group_key OFFSET 0
  ) h
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.id OFFSET 0
  ) g ON true
  LEFT JOIN LATERAL (
    SELECT state, attempt, meta FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
  ) j ON true
