-- Pause a workflow, or a member of it.
SELECT
  /* TEMPLATE: schema */oban_workflow_pause_v1(
    %(id)s, %(path)s, %(by)s, %(seconds)s, timezone('UTC', %(moment)s::timestamptz)
  )
