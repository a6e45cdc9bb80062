-- Start the clocks of deadlines: of jobs that are released, from the time that they are scheduled for where that is
-- later; of groups whose gates open. A clock that runs goes on.
--
-- Called by: oban_workflow_release, oban_workflow_open_gates, oban_workflow_admit_v1.
-- Locks: rows of timers; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_start_clocks(p_ids bigint[], p_now timestamp)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  UPDATE
    oban_workflow_timers t
  SET
    due = GREATEST((SELECT scheduled_at FROM oban_jobs WHERE id = t.target), p_now) + make_interval(secs => t.lasts)
  WHERE
    t.target = ANY(p_ids)
    AND t.kind IN ('deadline', 'inner')
    AND t.due IS NULL;
END;
$$;
