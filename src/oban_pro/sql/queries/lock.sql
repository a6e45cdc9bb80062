-- Lock the root of a workflow, and tell whether there is such a workflow.
SELECT
  /* TEMPLATE: schema */oban_workflow_lock(%(id)s) AS locked
