-- Take the next jobs of a queue as oban's own statement does: the same rows, in the order in which they are due.
--
-- oban's statement has a join, and PostgreSQL's plan for it depends on the size of the table when it was planned: once
-- the table has grown, each fetch reads all of it. Here the array of ids allows only the primary key, and the range in
-- index order allows only that index, so the plan can be kept. With two equalities instead, the planner would expect a
-- handful of rows, and sort all of them for each fetch.
--
-- A queue with limits over all nodes has a row in a table that is looked at first, and has one page.
--
-- Called by: our producer.get_jobs; oban_workflow_ack_v1.
-- Locks: see oban_workflow_fetch_limited; else the rows of the jobs; never waits for one.
-- Called twice: takes other jobs.
CREATE OR REPLACE FUNCTION oban_workflow_fetch_v1(p_queue text, p_demand integer, p_attempted_by text[])
RETURNS SETOF oban_jobs
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
BEGIN
  -- A role with no rights but those that oban needs takes jobs as a node without this package does.
  IF has_table_privilege('oban_workflow_queues', 'SELECT') THEN
    IF EXISTS (SELECT FROM oban_workflow_queues WHERE queue = p_queue) THEN
      RETURN QUERY SELECT * FROM oban_workflow_fetch_limited(p_queue, p_demand, p_attempted_by);

      RETURN;
    END IF;
  END IF;

  RETURN QUERY
  WITH due AS (
    SELECT
      id
    FROM
      oban_jobs
    WHERE
      (state, queue) >= ('available', p_queue)
      AND state = 'available'
      AND queue <= p_queue
      -- before the limit, which those without attempts would use up for ever
      AND attempt < max_attempts
    ORDER BY
      state ASC, queue ASC, priority ASC, scheduled_at ASC, id ASC
    LIMIT
      p_demand
    FOR UPDATE SKIP LOCKED
  ),
  taken AS (
    UPDATE
      oban_jobs j
    SET
      attempt = j.attempt + 1,
      -- the transaction may have begun before what the job depends on settled
      attempted_at = timezone('UTC', clock_timestamp()),
      attempted_by = p_attempted_by,
      state = 'executing'
    WHERE
      j.id = ANY(ARRAY(SELECT id FROM due))
    RETURNING
      j.*
  )
  SELECT
    *
  FROM
    taken
  ORDER BY
    priority ASC, scheduled_at ASC, id ASC;
END;
$$;
