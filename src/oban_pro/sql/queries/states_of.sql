-- The states that some jobs are in.
SELECT
  id, state::text
FROM
  /* TEMPLATE: schema */oban_jobs
WHERE
  id = ANY(%(ids)s::bigint[])
