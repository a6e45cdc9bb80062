-- Resume a workflow, or a member of it.
SELECT
  /* TEMPLATE: schema */oban_workflow_resume_v1(%(id)s, %(path)s)
