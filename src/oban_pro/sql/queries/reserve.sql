-- Draw ids for jobs and keys for groups that are about to be inserted, and the time of the transaction.
SELECT
  ids, keys, now
FROM
  /* TEMPLATE: schema */oban_workflow_reserve_v1(%(jobs)s, %(groups)s)
