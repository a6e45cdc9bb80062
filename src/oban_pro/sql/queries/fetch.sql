-- Take the next jobs of a queue.
SELECT
  worker,
  args::text,
  meta::text,
  errors::text,
  id,
  state,
  queue,
  attempt,
  max_attempts,
  priority,
  tags,
  attempted_by,
  inserted_at,
  attempted_at,
  cancelled_at,
  completed_at,
  discarded_at,
  scheduled_at
FROM
  /* TEMPLATE: schema */oban_workflow_fetch(%(queue)s, %(demand)s, %(attempted_by)s)
