-- Where jobs keep what is too large for their rows, of those that have a store: the store and the id of the workflow.
SELECT
  id, meta ->> 'workflow_store', meta ->> 'workflow_id'
FROM
  /* TEMPLATE: schema */oban_jobs
WHERE
  id = ANY(%(ids)s)
  AND meta ? 'workflow_store'
