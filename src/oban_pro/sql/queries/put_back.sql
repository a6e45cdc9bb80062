-- Make jobs available again that were taken and not started, as if they never had been, and wake their queues.
WITH returned AS (
  UPDATE
    /* TEMPLATE: schema */oban_jobs j
  SET
    state = 'available',
    attempt = j.attempt - 1
  FROM
    unnest(%(ids)s::bigint[], %(stamps)s::timestamptz[]) AS r(id, attempted_at)
  WHERE
    j.id = r.id
    AND j.attempted_at = timezone('UTC', r.attempted_at)
    AND (j.state = 'executing') IS TRUE
  RETURNING
    j.queue
)
SELECT
  /* TEMPLATE: schema */oban_workflow_wake(array_agg(DISTINCT queue))
FROM
  returned
