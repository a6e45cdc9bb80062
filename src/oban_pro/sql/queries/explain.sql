-- What a member waits for: its direct dependencies and those of the gates it waits at, each with its state.
WITH RECURSIVE gates AS (
  SELECT
    m.id, m.group_key, m.gated, m.ignore_cancelled, m.ignore_discarded
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = g.key
  WHERE
    g.id = %(id)s
    AND m.name = %(name)s
  UNION ALL
  SELECT
    m.id, m.group_key, m.gated, m.ignore_cancelled, m.ignore_discarded
  FROM
    gates
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = gates.group_key
  WHERE
    gates.gated
)
SELECT
  /* TEMPLATE: schema */oban_workflow_path(m.id) AS path,
  COALESCE(g.kind, 'job') AS kind,
  COALESCE(j.state::text, g.state, m.gone) AS state,
  /* TEMPLATE: schema */oban_workflow_satisfies(
    COALESCE(j.state::text, g.state, m.gone), gates.ignore_cancelled, gates.ignore_discarded
  ) AS satisfied,
  to_jsonb(j.errors) -> -1 ->> 'error' AS error
FROM
  gates
  JOIN /* TEMPLATE: schema */oban_workflow_edges e ON e.downstream = gates.id
  JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.id = e.upstream
  LEFT JOIN /* TEMPLATE: schema */oban_workflow_groups g ON g.key = m.id
  LEFT JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
ORDER BY
  abs(m.id)
