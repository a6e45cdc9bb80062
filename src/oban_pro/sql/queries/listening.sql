-- For tests: the members that listen for signals at a path of a workflow.
SELECT
  *
FROM
  /* TEMPLATE: schema */oban_workflow_listening_v1(%(id)s, %(path)s)
