-- Remove jobs that have settled and aged, as oban does, apart from those of workflows. A job that somebody
-- retries at this moment is passed over.
WITH jobs_to_delete AS (
  SELECT
    j.id
  FROM
    /* TEMPLATE: schema */oban_jobs j
  WHERE
    (
      (j.state = 'completed' AND j.completed_at <= timezone('UTC', now()) - make_interval(secs => %(max_age)s)) OR
      (j.state = 'cancelled' AND j.cancelled_at <= timezone('UTC', now()) - make_interval(secs => %(max_age)s)) OR
      (j.state = 'discarded' AND j.discarded_at <= timezone('UTC', now()) - make_interval(secs => %(max_age)s))
    )
    AND NOT EXISTS (SELECT FROM /* TEMPLATE: schema */oban_workflow_members m WHERE m.id = j.id)
  ORDER BY
    j.id
  LIMIT
    %(limit)s
  FOR UPDATE OF j SKIP LOCKED
),
deleted AS (
  DELETE FROM
    /* TEMPLATE: schema */oban_jobs
  WHERE
    id IN (SELECT id FROM jobs_to_delete)
  RETURNING
    id
)
SELECT
  count(*)::int AS pruned
FROM
  deleted
