-- Take jobs back that nobody runs; returns how many, and which were passed over.
SELECT
  requeued, held
FROM
  /* TEMPLATE: schema */oban_workflow_requeue_lost_v1(
    %(ids)s::bigint[], %(stamps)s::timestamp[], %(reasons)s::text[], %(waits)s
  )
