-- Lock up to 1,000 root workflows that have settled and were not announced yet, and return their keys.
-- Always reads its index in order: such a scan marks entries of rows that were claimed, and the next scan skips them. A
-- bitmap scan, which the planner may prefer, reads the dead entries until a vacuum removes them.
--
-- Called by: nodes, at each tick.
-- Locks: the rows that it returns; never waits for one.
-- Called twice: returns what nobody has claimed in between.
CREATE OR REPLACE FUNCTION oban_workflow_unannounced_roots_v1()
RETURNS bigint[]
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET jit = off
AS $$
BEGIN
  RETURN ARRAY(
    SELECT
      key
    FROM
      oban_workflow_groups
    WHERE
      parent IS NULL
      AND state <> 'executing'
      AND NOT announced
    ORDER BY
      key
    LIMIT
      1000
    FOR NO KEY UPDATE SKIP LOCKED
  );
END;
$$;
