-- Remove a batch of jobs and workflows that have settled and aged; returns how many jobs went, and where the next batch
-- begins.
SELECT
  jobs, next::text, to_jsonb(before) #>> '{}'
FROM
  /* TEMPLATE: schema */oban_workflow_prune_v1(%(max_age)s, %(limit)s, %(start)s::jsonb)
