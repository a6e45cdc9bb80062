-- The index of the partition of a queue.
SELECT
  name, is_ready, is_there, statement
FROM
  /* TEMPLATE: schema */oban_workflow_partition_index_v1(%(queue)s)
