-- Let a root that was opened again take its key back.
SELECT
  /* TEMPLATE: schema */oban_workflow_retake_v1(%(id)s)
