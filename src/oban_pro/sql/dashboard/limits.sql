-- The limits that queues have over all nodes.
SELECT
  queue, global_limit, allowed, period, fields, keys
FROM
  /* TEMPLATE: schema */oban_workflow_queues
ORDER BY
  queue
