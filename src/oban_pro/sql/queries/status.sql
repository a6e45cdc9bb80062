-- Counters of a workflow and of all workflows nested in it, parents first.
SELECT
  *
FROM
  /* TEMPLATE: schema */oban_workflow_status(%(id)s)
