-- Send a signal to jobs.
SELECT
  /* TEMPLATE: schema */oban_workflow_send_v1(
    %(ids)s::bigint[], /* TEMPLATE: schema */oban_workflow_bare_v1(%(payload)s), %(choice)s, %(sender)s, %(name)s, %(strict)s
  )
