-- Producers of a node: those that are registered, and those that executing jobs name.
SELECT
  p.uuid::text AS uuid
FROM
  /* TEMPLATE: schema */oban_producers p
WHERE
  p.node = %(node)s
UNION
SELECT
  j.attempted_by[2]
FROM
  /* TEMPLATE: schema */oban_jobs j
WHERE
  j.state = 'executing'
  AND j.attempted_by[1] = %(node)s
  AND j.attempted_by[2] IS NOT NULL
