-- Run members of workflows of one root again with everything that depends on them; returns how many jobs.
SELECT
  /* TEMPLATE: schema */oban_workflow_rerun_v1(%(workflows)s::text[], %(names)s::text[]) AS retried
