-- The dependencies that a member waits for: its own and those of the gates that it waits at, each with its state; and of a
-- join how many of them it needs. If a fan-out among them tolerates failures: how many there are, and whether the member
-- breaks if these are too many.
-- OFFSET 0: see PLANS.md.
WITH gates AS (
  SELECT
    w.id,
    w.ignore_cancelled,
    w.ignore_discarded,
    (SELECT rules FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = g.root) AS rules
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
    WHEN gates.rules & 2 > 0 THEN (SELECT need FROM /* TEMPLATE: schema */oban_workflow_joins WHERE id = gates.id)
  END AS need,
  COALESCE(
    m.gone = 'skipped'
      OR /* TEMPLATE: schema */oban_workflow_was_skipped_v1(j.state::text, j.attempt, j.meta)
      OR /* TEMPLATE: schema */oban_workflow_group_was_skipped_v2(
        g.key, g.state, g.total, g.subs, g.skipped, g.subs_skipped, g.skips, g.judged
      ),
    false
  ) AS skipped,
  f.failures,
  -- a group that was only cancelled so far may still be discarded
  f.failures IS NOT NULL
    AND /* TEMPLATE: schema */oban_workflow_breaks_v1('discarded', gates.ignore_cancelled, gates.ignore_discarded)
    AND (
      f.failures[1] > 0
      OR /* TEMPLATE: schema */oban_workflow_breaks_v1('cancelled', gates.ignore_cancelled, gates.ignore_discarded)
    ) AS would_break
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
    SELECT state, attempt, meta, errors FROM /* TEMPLATE: schema */oban_jobs WHERE id = m.id OFFSET 0
  ) j ON true
  CROSS JOIN LATERAL (
    SELECT
      CASE WHEN gates.rules & 256 > 0 AND m.id < 0 THEN /* TEMPLATE: schema */oban_workflow_failures_v1(m.id) END AS failures
  ) f
ORDER BY
  abs(m.id)
