-- Take the next jobs of a queue. A time that Python cannot hold is none.
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
  CASE WHEN inserted_at BETWEEN '0001-01-01' AND '9999-12-31' THEN inserted_at END AS inserted_at,
  attempted_at,
  CASE WHEN cancelled_at BETWEEN '0001-01-01' AND '9999-12-31' THEN cancelled_at END AS cancelled_at,
  CASE WHEN completed_at BETWEEN '0001-01-01' AND '9999-12-31' THEN completed_at END AS completed_at,
  CASE WHEN discarded_at BETWEEN '0001-01-01' AND '9999-12-31' THEN discarded_at END AS discarded_at,
  CASE WHEN scheduled_at BETWEEN '0001-01-01' AND '9999-12-31' THEN scheduled_at END AS scheduled_at
FROM
  /* TEMPLATE: schema */oban_workflow_fetch(%(queue)s, %(demand)s, %(attempted_by)s)
