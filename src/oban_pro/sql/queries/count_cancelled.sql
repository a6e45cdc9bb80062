-- How many of some jobs are cancelled.
SELECT
  count(*)::int AS cancelled
FROM
  /* TEMPLATE: schema */oban_jobs
WHERE
  id = ANY(%(ids)s)
  AND (state = 'cancelled') IS TRUE
