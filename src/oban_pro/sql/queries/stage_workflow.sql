-- Make jobs of one root workflow available that wait for a time: the next to come, and all within a second of it.
WITH waiting AS (
  SELECT
    j.id, j.scheduled_at, min(j.scheduled_at) OVER () AS next
  FROM
    /* TEMPLATE: schema */oban_workflow_groups g
    JOIN /* TEMPLATE: schema */oban_workflow_groups h ON h.root = g.root
    JOIN /* TEMPLATE: schema */oban_workflow_members m ON m.group_key = h.key
    JOIN /* TEMPLATE: schema */oban_jobs j ON j.id = m.id
  WHERE
    g.id = %(id)s
    AND j.state IN ('scheduled', 'retryable')
)
UPDATE
  /* TEMPLATE: schema */oban_jobs j
SET
  state = 'available'
FROM
  waiting
WHERE
  j.id = waiting.id
  AND waiting.scheduled_at <= waiting.next + interval '1 second'
  AND j.state IN ('scheduled', 'retryable')
RETURNING
  j.id
