-- Settle, snooze or retry a batch of executed jobs, and take the next ones.
SELECT
  acked,
  (job).worker,
  (job).args::text,
  (job).meta::text,
  (job).errors::text,
  (job).id,
  (job).state,
  (job).queue,
  (job).attempt,
  (job).max_attempts,
  (job).priority,
  (job).tags,
  (job).attempted_by,
  (job).inserted_at,
  (job).attempted_at,
  (job).cancelled_at,
  (job).completed_at,
  (job).discarded_at,
  (job).scheduled_at
FROM
  /* TEMPLATE: schema */oban_workflow_ack(
    %(ids)s::bigint[], %(stamps)s::timestamp[], %(others)s::json, %(queue)s, %(demand)s, %(attempted_by)s
  )
