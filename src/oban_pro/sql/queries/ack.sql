-- Settle, snooze or retry a batch of executed jobs, and take the next ones.
SELECT
  acked,
  held,
  (job).worker,
  (job).args::text,
  COALESCE((job).meta, '{}')::text,
  NULLIF(to_jsonb((job).errors), '[]')::text,
  NULLIF((job).tags, '{}'),
  (job).id,
  (job).attempt,
  (job).max_attempts,
  (job).priority,
  (job).inserted_at,
  (job).attempted_at,
  (job).cancelled_at,
  (job).completed_at,
  (job).discarded_at,
  (job).scheduled_at
FROM
  /* TEMPLATE: schema */oban_workflow_ack_v1(
    %(ids)s::bigint[], %(stamps)s::timestamp[], %(others)s::json, %(queue)s, %(demand)s, %(attempted_by)s,
    %(waits)s
  )
