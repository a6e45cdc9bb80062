-- Note the time of a retry for workflows that had settled: for those of the given ones that are open now.
UPDATE
  /* TEMPLATE: schema */oban_workflow_groups
SET
  retried_at = timezone('UTC', now())
WHERE
  key = ANY(%(keys)s::bigint[])
  AND state = 'executing'
