-- Run jobs of a workflow again, or of some of its members; returns how many.
SELECT
  /* TEMPLATE: schema */oban_workflow_retry_v1(%(id)s, %(names)s::text[]) AS retried
