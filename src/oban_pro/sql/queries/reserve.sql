-- Draw ids for jobs and keys for groups that are about to be inserted, and the time of the transaction.
WITH sequences AS MATERIALIZED (
  SELECT
    pg_get_serial_sequence('/* TEMPLATE: schema */oban_jobs', 'id')::regclass AS jobs,
    pg_get_serial_sequence('/* TEMPLATE: schema */oban_workflow_groups', 'key')::regclass AS groups
)
SELECT
  ARRAY(SELECT nextval(s.jobs) FROM sequences s, generate_series(1, %(jobs)s)) AS ids,
  ARRAY(SELECT nextval(s.groups) FROM sequences s, generate_series(1, %(groups)s)) AS keys,
  timezone('UTC', now()) AS now
