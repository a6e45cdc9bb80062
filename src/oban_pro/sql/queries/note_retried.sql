-- Note when workflows that had settled are retried: those of some that are open now.
UPDATE
  /* TEMPLATE: schema */oban_workflow_groups
SET
  retried_at = timezone('UTC', now())
WHERE
  key = ANY(%(keys)s::bigint[])
  AND state = 'executing'
