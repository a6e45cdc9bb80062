-- Send a signal to the waits at a path.
SELECT
  /* TEMPLATE: schema */oban_workflow_signal_v1(
    %(id)s, %(path)s, /* TEMPLATE: schema */oban_workflow_bare_v1(%(payload)s), %(choice)s, %(sender)s, %(name)s
  )
