-- The dependencies that a member waits for: its own and those of the gates that it waits at, each with its state; and of a
-- join how many of them it needs.
-- OFFSET 0: see PLANS.md.
WITH gates AS (
  SELECT
    w.id, w.ignore_cancelled, w.ignore_discarded
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = g.key
    CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_gates_v1(m.id) AS gates(id)
    CROSS JOIN LATERAL (
      SELECT * FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = gates.id OFFSET 0
    ) w
  WHERE
    g.id = %(id)s
    AND m.name = %(name)s
)
SELECT
  /* TEMPLATE: schema */oban_workflow_path_v1(m.id) AS path,
  COALESCE(g.kind, 'job') AS kind,
  COALESCE(j.state::text, g.state, m.gone, 'unknown') AS state,
  /* TEMPLATE: schema */oban_workflow_satisfies_v1(
    COALESCE(j.state::text, g.state, m.gone, 'unknown'), gates.ignore_cancelled, gates.ignore_discarded
  ) AS satisfied,
  to_jsonb(j.errors) -> -1 ->> 'error' AS error,
  CASE
    WHEN (
      SELECT
        root.rules & 2 > 0
      FROM
        /* TEMPLATE: schema */oban_workflow_groups o
        JOIN /* TEMPLATE: schema */oban_workflow_groups root ON root.key = o.root
      WHERE
        o.id = %(id)s
    ) THEN (SELECT need FROM /* TEMPLATE: schema */oban_workflow_joins WHERE id = gates.id)
  END AS need
FROM
  gates
  CROSS JOIN LATERAL (
    SELECT upstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE downstream = gates.id OFFSET 0
  ) e
  CROSS JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = e.upstream OFFSET 0
  ) m
  LEFT JOIN LATERAL (
    SELECT * FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = m.id OFFSET 0
  ) g ON true
  LEFT JOIN LATERAL (
    SELECT state, errors FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
  ) j ON true
ORDER BY
  abs(m.id)
