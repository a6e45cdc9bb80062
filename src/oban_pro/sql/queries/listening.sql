-- What listens for signals at a path of a workflow, in tests.
SELECT
  *
FROM
  /* TEMPLATE: schema */oban_workflow_listening_v1(%(id)s, %(path)s)
