-- The last execution of each job that a job depends on, directly or through the gates that it waits behind. A group that it
-- depends on stands for the jobs in it, those that are nested less first. Returns at most a limit of rows, and reads no more.
WITH RECURSIVE upstream AS (
  SELECT
    e.upstream AS id
  FROM
    /* TEMPLATE: schema */oban_workflow_gates_v1(%(id)s) AS waiting(id)
    CROSS JOIN LATERAL (
      SELECT upstream FROM /* TEMPLATE: schema */oban_workflow_edges WHERE downstream = waiting.id LIMIT %(limit)s
    ) e
  LIMIT %(limit)s
),
inside AS (
  SELECT id FROM upstream
  UNION ALL
  SELECT
    m.id
  FROM
    inside
    CROSS JOIN LATERAL (
      SELECT id FROM /* TEMPLATE: schema */oban_workflow_members WHERE group_key = inside.id LIMIT %(limit)s
    ) m
  WHERE
    inside.id < 0
),
-- the limit ends the recursion above as soon as there are enough jobs
jobs AS (
  SELECT id FROM inside WHERE id > 0 LIMIT %(limit)s
)
SELECT
  j.id, j.attempt, j.attempted_at, j.meta ->> 'traceparent'
FROM
  jobs
  CROSS JOIN LATERAL (SELECT * FROM /* TEMPLATE: schema */oban_jobs WHERE id = jobs.id OFFSET 0) j
WHERE
  j.attempted_at IS NOT NULL
