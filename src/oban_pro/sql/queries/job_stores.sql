-- The stores in which jobs keep values that are too large for their rows, each with the id of the workflow. Jobs without a
-- store are left out.
SELECT
  id, meta ->> 'workflow_store', meta ->> 'workflow_id'
FROM
  /* TEMPLATE: schema */oban_jobs
WHERE
  id = ANY(%(ids)s)
  AND meta ? 'workflow_store'
