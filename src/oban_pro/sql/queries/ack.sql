-- Settle, snooze or retry a batch of executed jobs, and take the next ones. A time that Python cannot hold is none.
SELECT
  acked,
  (job).worker,
  (job).args::text,
  COALESCE((job).meta, '{}')::text,
  NULLIF(to_jsonb((job).errors), '[]')::text,
  NULLIF((job).tags, '{}'),
  (job).id,
  (job).attempt,
  (job).max_attempts,
  (job).priority,
  CASE WHEN (job).inserted_at BETWEEN '0001-01-01' AND '9999-12-31' THEN (job).inserted_at END AS inserted_at,
  (job).attempted_at,
  CASE WHEN (job).cancelled_at BETWEEN '0001-01-01' AND '9999-12-31' THEN (job).cancelled_at END AS cancelled_at,
  CASE WHEN (job).completed_at BETWEEN '0001-01-01' AND '9999-12-31' THEN (job).completed_at END AS completed_at,
  CASE WHEN (job).discarded_at BETWEEN '0001-01-01' AND '9999-12-31' THEN (job).discarded_at END AS discarded_at,
  CASE WHEN (job).scheduled_at BETWEEN '0001-01-01' AND '9999-12-31' THEN (job).scheduled_at END AS scheduled_at
FROM
  /* TEMPLATE: schema */oban_workflow_ack(
    %(ids)s::bigint[], %(stamps)s::timestamp[], %(others)s::json, %(queue)s, %(demand)s, %(attempted_by)s
  )
