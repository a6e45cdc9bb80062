-- Start available jobs of one root workflow, whatever their queues, as oban starts those of one queue.
WITH ready AS MATERIALIZED (
  SELECT
    j.id
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
    AND j.state = 'available'
    AND j.attempt < j.max_attempts
  ORDER BY
    j.priority, j.scheduled_at, j.id
  LIMIT
    %(limit)s
  FOR UPDATE OF j SKIP LOCKED
)
UPDATE
  /* TEMPLATE: schema */oban_jobs j
SET
  attempt = j.attempt + 1,
  -- the transaction may have begun before what the job depends on settled
  attempted_at = timezone('UTC', statement_timestamp()),
  attempted_by = %(attempted_by)s,
  state = 'executing'
FROM
  ready
WHERE
  j.id = ANY(ARRAY[ready.id])
RETURNING
  j.id,
  j.state,
  j.queue,
  j.worker,
  j.attempt,
  j.max_attempts,
  j.priority,
  j.args,
  j.meta,
  j.errors,
  j.tags,
  j.attempted_by,
  j.inserted_at,
  j.attempted_at,
  j.cancelled_at,
  j.completed_at,
  j.discarded_at,
  j.scheduled_at
