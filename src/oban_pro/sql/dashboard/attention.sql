-- Executing root workflows that may need somebody, wherever the list has them: those of some ids, those with a deadline that
-- is near, and those that were inserted first; each as the list reads it, and its next deadline if that is near: in its last
-- hour, or in the last fifth of its time if that is shorter. The statement looks at a limited number of clocks. OFFSET 0: see
-- PLANS.md.
WITH near AS MATERIALIZED (
  SELECT
    t.root AS key, min(t.due) AS due
  FROM
    (
      SELECT
        target, kind, root, lasts, due, due - timezone('UTC', now()) AS rest
      FROM
        /* TEMPLATE: schema */oban_workflow_timers
      WHERE
        due > timezone('UTC', now())
        AND due < timezone('UTC', now()) + interval '1 hour'
      ORDER BY
        due
      LIMIT
        1000
    ) t
    LEFT JOIN LATERAL (
      SELECT state FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = t.target OFFSET 0
    ) g ON true
    LEFT JOIN LATERAL (
      SELECT state FROM /* TEMPLATE: schema */oban_jobs WHERE id = t.target OFFSET 0
    ) j ON true
  WHERE
    t.kind IN ('deadline', 'inner')
    AND (t.lasts IS NULL OR extract(epoch FROM t.rest) < t.lasts / 5)
    AND COALESCE(g.state, j.state::text) NOT IN ('completed', 'cancelled', 'discarded')
  GROUP BY
    t.root
  ORDER BY
    min(t.due)
  LIMIT
    %(limit)s
),
oldest AS MATERIALIZED (
  SELECT
    g.key
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
  WHERE
    g.parent IS NULL
    AND g.state = 'executing'
  ORDER BY
    g.inserted_at
  LIMIT
    %(limit)s
),
picked AS (
  SELECT key FROM near
  UNION
  SELECT key FROM oldest
  UNION
  SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE id = ANY(%(ids)s::text[]) AND parent IS NULL
)
SELECT
  near.due,
  g.id,
  g.name,
  g.state,
  g.inserted_at,
  g.queued_at IS NOT NULL AS is_queued,
  COALESCE((SELECT true FROM /* TEMPLATE: schema */oban_workflow_pauses p WHERE p.target = g.key), false) AS is_paused,
  g.inserted_at AS moment,
  g.key,
  0 AS number,
  true AS is_found
FROM
  picked
  CROSS JOIN LATERAL (
    SELECT
      key, id, name, state, inserted_at, queued_at
    FROM
      /* TEMPLATE: schema */oban_workflow_groups
    WHERE
      key = picked.key
    OFFSET
      0
  ) g
  LEFT JOIN near ON near.key = g.key
WHERE
  g.state = 'executing'
