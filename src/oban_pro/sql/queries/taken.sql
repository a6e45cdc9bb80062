-- Executions that the database knows of some producers: those of jobs that execute, and those that have not ended
-- although somebody stopped their jobs. A recent one was taken within the last seconds, so its node may not have received it
-- yet.
SELECT
  j.id,
  j.attempted_at,
  j.attempted_by[2] AS producer,
  false AS stopped,
  -- later than now, if the clock was set back
  j.attempted_at BETWEEN timezone('UTC', now()) - interval '5 seconds' AND timezone('UTC', now()) + interval '5 seconds'
    AS recent
FROM
  /* TEMPLATE: schema */oban_jobs j
WHERE
  j.state = 'executing'
  AND j.attempted_by[2] = ANY(%(producers)s::text[])
UNION ALL
SELECT
  u.id,
  u.attempted_at,
  u.producer,
  true,
  u.attempted_at BETWEEN timezone('UTC', now()) - interval '5 seconds' AND timezone('UTC', now()) + interval '5 seconds'
FROM
  /* TEMPLATE: schema */oban_workflow_unended u
WHERE
  u.producer = ANY(%(producers)s::text[])
