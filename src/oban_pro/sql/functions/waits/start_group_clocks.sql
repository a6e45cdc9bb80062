-- Start the clocks of the groups of a root whose gates are open.
--
-- Called by: oban_workflow_admit_v1, oban_workflow_start_root.
-- Locks: rows of timers; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_start_group_clocks(p_root bigint)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  PERFORM oban_workflow_start_clocks(
    ARRAY(
      SELECT
        t.target
      FROM
        oban_workflow_timers t
      WHERE
        t.root = p_root
        AND t.target < 0
        AND t.due IS NULL
        AND NOT EXISTS (SELECT FROM oban_workflow_members m WHERE m.id = t.target AND m.pending > 0)
    ),
    timezone('UTC', clock_timestamp())
  );
END;
$$;
