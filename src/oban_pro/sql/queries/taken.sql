-- Jobs that execute for the given producers, apart from those taken only just now.
SELECT
  j.id, j.attempted_at, j.attempted_by[2] AS uuid
FROM
  /* TEMPLATE: schema */oban_jobs j
WHERE
  j.state = 'executing'
  AND j.attempted_by[2] = ANY(%(producers)s::text[])
  AND j.attempted_at < timezone('UTC', now()) - interval '5 seconds'
