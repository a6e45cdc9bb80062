-- Set how many members of a fan-out may be open at once.
SELECT
  /* TEMPLATE: schema */oban_workflow_set_limit_v1(%(id)s, %(path)s, %(limit)s)
