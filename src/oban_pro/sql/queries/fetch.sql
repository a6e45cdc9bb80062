-- Take the next jobs of a queue.
SELECT
  worker,
  args::text,
  COALESCE(meta, '{}')::text,
  NULLIF(to_jsonb(errors), '[]')::text,
  NULLIF(tags, '{}'),
  id,
  attempt,
  max_attempts,
  priority,
  inserted_at,
  attempted_at,
  cancelled_at,
  completed_at,
  discarded_at,
  scheduled_at
FROM
  /* TEMPLATE: schema */oban_workflow_fetch_v1(%(queue)s, %(demand)s, %(attempted_by)s)
