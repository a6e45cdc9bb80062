-- Set the deadline of a workflow, or of a member of it.
SELECT
  /* TEMPLATE: schema */oban_workflow_set_deadline_v1(
    %(id)s, %(path)s, %(seconds)s, timezone('UTC', %(moment)s::timestamptz), %(error)s
  )
