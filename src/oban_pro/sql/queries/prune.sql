-- Remove a batch of jobs and workflows that have settled and aged; returns how many jobs went, where the next batch begins,
-- and which of the workflows may have objects in a store.
SELECT
  jobs, next::text, to_jsonb(before) #>> '{}', stored
FROM
  /* TEMPLATE: schema */oban_workflow_prune_v2(%(max_age)s, %(limit)s, %(start)s::jsonb)
