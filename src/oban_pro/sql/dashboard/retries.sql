-- Groups of a workflow in which jobs ran more than once: when the first attempt failed, and when the last began.
SELECT
  key, failed_at, attempted_at
FROM
  /* TEMPLATE: schema */oban_workflow_retries_v1(%(id)s)
