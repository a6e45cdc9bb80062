-- Refuse the waits at a path.
SELECT
  /* TEMPLATE: schema */oban_workflow_reject_v1(%(id)s, %(path)s, %(reason)s, %(sender)s)
