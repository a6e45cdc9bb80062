-- The answer of a call of await_signal.
SELECT
  answer, /* TEMPLATE: schema */oban_workflow_recorded_v1(payload), seconds
FROM
  /* TEMPLATE: schema */oban_workflow_await_v1(
    %(job)s, %(name)s, %(call)s, %(seconds)s, timezone('UTC', %(moment)s::timestamptz)
  )
