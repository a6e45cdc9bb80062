-- Make jobs of one root workflow available that wait for a time: the next to come, and all within a second of it. Jobs that
-- are parked wait for a signal.
WITH waiting AS (
  SELECT
    j.id, j.scheduled_at, min(j.scheduled_at) OVER () AS next
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    CROSS JOIN LATERAL (
      SELECT key FROM /* TEMPLATE: schema */oban_workflow_groups WHERE root = g.root OFFSET 0
    ) h
    CROSS JOIN LATERAL (
      SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = h.key AND id > 0 OFFSET 0
    ) m
    -- as OFFSET 0 does, this leaves the primary key as the only way
    JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = ANY(ARRAY[m.id])
  WHERE
    g.id = %(id)s
    AND j.state IN ('scheduled', 'retryable')
    AND NOT j.meta ? 'wait'
)
UPDATE
  /* TEMPLATE: schema */oban_jobs j
SET
  state = 'available'
FROM
  waiting
WHERE
  j.id = ANY(ARRAY[waiting.id])
  AND waiting.scheduled_at <= waiting.next + interval '1 second'
  AND j.state IN ('scheduled', 'retryable')
RETURNING
  j.id
