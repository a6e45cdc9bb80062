-- Waits for signals that are open, of all workflows: those whose time is up first come first. It walks along the clocks
-- that run, and looks for waits without one only where those are too few. OFFSET 0: see PLANS.md.
WITH timed AS MATERIALIZED (
  SELECT
    w.id, w.root, t.due
  FROM
    /* TEMPLATE: schema */oban_workflow_timers t
    CROSS JOIN LATERAL (
      SELECT
        id, root
      FROM
        /* TEMPLATE: schema */oban_workflow_waits
      WHERE
        id = t.target
        AND (is_open AND kind = 'signal') IS TRUE
      OFFSET
        0
    ) w
  WHERE
    t.due IS NOT NULL
    AND t.kind = 'wait'
  ORDER BY
    t.due, t.target
  LIMIT
    %(limit)s
),
untimed AS MATERIALIZED (
  SELECT
    w.id, w.root
  FROM
    /* TEMPLATE: schema */oban_workflow_waits w
  WHERE
    w.is_open
    AND w.kind = 'signal'
    AND NOT EXISTS (
      SELECT
      FROM
        /* TEMPLATE: schema */oban_workflow_timers
      WHERE
        target = w.id
        AND kind = 'wait'
        AND due IS NOT NULL
      OFFSET
        0
    )
  ORDER BY
    w.id
  LIMIT
    %(limit)s::bigint - (SELECT count(*) FROM timed)
),
open AS (
  SELECT id, root, due FROM timed
  UNION ALL
  SELECT id, root, NULL FROM untimed
)
SELECT
  g.id,
  g.name,
  /* TEMPLATE: schema */oban_workflow_path_v1(open.id) AS path,
  open.id AS job_id,
  f.kind,
  f.since,
  f.until,
  f.wanted,
  f.came,
  f.senders,
  f.choices,
  f.call
FROM
  open
  CROSS JOIN LATERAL (
    SELECT id, name FROM /* TEMPLATE: schema */oban_workflow_groups WHERE key = open.root OFFSET 0
  ) g
  CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_waiting_v1(open.id) f
WHERE
  f.kind = 'signal'
ORDER BY
  open.due NULLS LAST, open.id
