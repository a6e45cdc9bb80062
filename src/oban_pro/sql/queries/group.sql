-- A workflow that something is to be added to, and the flags by which its gate judges dependencies; and how many of them
-- the gate needs, if it does not need all.
SELECT
  g.key,
  g.root,
  g.id,
  g.name,
  g.kind,
  p.id AS parent_id,
  m.name AS sub_name,
  CASE WHEN g.judged IS NULL THEN COALESCE(m.ignore_cancelled, false) ELSE g.judged & 1 > 0 END AS ignore_cancelled,
  CASE WHEN g.judged IS NULL THEN COALESCE(m.ignore_discarded, false) ELSE g.judged & 2 > 0 END AS ignore_discarded,
  COALESCE(root.rules, 0) AS rules,
  g.defaults::text AS defaults,
  CASE
    WHEN root.rules & 2 > 0 THEN (
      SELECT
        j.need
      FROM
        /* TEMPLATE: schema */oban_workflow_gates_v1(g.key) AS gates(id)
        CROSS JOIN LATERAL (
          SELECT need FROM /* TEMPLATE: schema */oban_workflow_joins WHERE id = gates.id OFFSET 0
        ) j
    )
  END AS gate_need,
  g.kind = 'fan_out' AND COALESCE(g.max_open, g.rate_allowed) IS NOT NULL AS is_limited,
  CASE
    WHEN root.rules & 4 > 0 THEN (
      SELECT
        bool_or(around.judged IS NOT NULL)
      FROM
        /* TEMPLATE: schema */oban_workflow_gates_v1(g.key) AS gates(id)
        CROSS JOIN LATERAL (
          SELECT judged FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = gates.id OFFSET 0
        ) around
    )
  END IS TRUE AS is_judged,
  g.store
FROM
  /* TEMPLATE: schema */oban_workflow_groups g
  JOIN /* TEMPLATE: schema */oban_workflow_groups root ON root.key = g.root
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = g.key
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups p ON p.key = g.parent
WHERE
  g.id = %(id)s
  AND NOT /* TEMPLATE: schema */oban_workflow_is_free_v1(g.root)
