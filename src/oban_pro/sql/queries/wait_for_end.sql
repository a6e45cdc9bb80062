-- Let jobs wait for the end of executions that still go on.
SELECT
  /* TEMPLATE: schema */oban_workflow_wait_for_end_v1(
    %(ids)s::bigint[], %(stamps)s::timestamp[], %(running)s::timestamp[], %(producer)s
  )
