-- Draw ids for jobs and keys for groups that are about to be inserted, and the time of the transaction.
--
-- Called by: enqueueing, in plain batches too. It runs with the rights of the tables' owner, so that nobody needs any
-- on the sequences.
-- Locks nothing. Twice: draws others.
CREATE OR REPLACE FUNCTION oban_workflow_reserve_v1(
  p_jobs integer,
  p_groups integer,
  OUT ids bigint[],
  OUT keys bigint[],
  OUT now timestamp
)
LANGUAGE sql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
  WITH sequences AS MATERIALIZED (
    SELECT
      pg_get_serial_sequence('oban_jobs', 'id')::regclass AS jobs,
      pg_get_serial_sequence('oban_workflow_groups', 'key')::regclass AS groups
  )
  SELECT
    ARRAY(SELECT nextval(s.jobs) FROM sequences s, generate_series(1, p_jobs)),
    ARRAY(SELECT nextval(s.groups) FROM sequences s, generate_series(1, p_groups)),
    timezone('UTC', now())
$$;
