-- Take jobs back that nobody runs; returns how many.
SELECT
  /* TEMPLATE: schema */oban_workflow_give_back(%(ids)s::bigint[], %(stamps)s::timestamp[])
