-- Lock the root of a workflow, and tell whether there is such a workflow.
SELECT
  /* TEMPLATE: schema */oban_workflow_lock_root_v1(%(id)s) AS locked
