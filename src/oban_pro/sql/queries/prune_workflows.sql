-- Remove root workflows that have settled and aged, or a part of one; returns how many jobs and roots went,
-- and whether a root is left half removed.
SELECT
  jobs, roots, partial
FROM
  /* TEMPLATE: schema */oban_workflow_prune(%(max_age)s, %(limit)s)
