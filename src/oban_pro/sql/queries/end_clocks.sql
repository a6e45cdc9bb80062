-- For tests: let the next clocks of a root run out. It looks at the clocks of timers and at those of the given waits. The
-- next ones are the earliest and all within a second of it; none, if a job is scheduled before the earliest. Returns the
-- root if a clock in it is up.
WITH root AS (
  SELECT
    r.key
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    JOIN /* TEMPLATE: schema */oban_workflow_groups r ON r.key = g.root
  WHERE
    g.id = %(id)s
    -- waits and clocks
    AND r.rules & 9 > 0
),
clocks AS (
  SELECT
    t.target, t.due, min(t.due) OVER () AS next
  FROM
    root
    JOIN /* TEMPLATE: schema */oban_workflow_timers t ON t.root = root.key
    JOIN /* TEMPLATE: schema */oban_workflow_waits w ON w.id = t.target
  WHERE
    t.kind = 'wait'
    AND t.due IS NOT NULL
    AND (w.kind = 'timer' OR w.id = ANY(%(waits)s))
),
scheduled AS (
  SELECT
    min(j.scheduled_at) AS next
  FROM
    root
    CROSS JOIN LATERAL (
      SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE root = root.key OFFSET 0
    ) h
    CROSS JOIN LATERAL (
      SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = h.key AND id > 0 OFFSET 0
    ) m
    -- as OFFSET 0 does, this leaves the primary key as the only way
    JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = ANY(ARRAY[m.id])
  WHERE
    j.state IN ('scheduled', 'retryable')
    AND NOT j.meta ? 'wait'
),
ended AS (
  UPDATE
    /* TEMPLATE: schema */oban_workflow_timers t
  SET
    due = LEAST(t.due, timezone('UTC', clock_timestamp()))
  FROM
    clocks
    CROSS JOIN scheduled
  WHERE
    t.target = clocks.target
    AND t.kind = 'wait'
    AND clocks.due <= clocks.next + interval '1 second'
    AND (clocks.next <= scheduled.next) IS NOT FALSE
  RETURNING
    t.root
)
SELECT root FROM ended
UNION
SELECT
  t.root
FROM
  root
  JOIN /* TEMPLATE: schema */oban_workflow_timers t ON t.root = root.key
WHERE
  t.due <= timezone('UTC', clock_timestamp())
