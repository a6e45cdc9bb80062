-- End the periods of fan-outs whose time is up, and release jobs that waited for the next period.
--
-- Called by: oban_workflow_expire.
-- Locks: rows of timers and groups, then as oban_workflow_serve_lines does; the caller holds the root.
-- Called twice: finds nothing.
CREATE OR REPLACE FUNCTION oban_workflow_end_windows(p_root bigint, p_now timestamp)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_ended bigint[];
BEGIN
  WITH ended AS (
    DELETE FROM oban_workflow_timers WHERE root = p_root AND kind = 'window' AND due <= p_now RETURNING target
  )
  SELECT COALESCE(array_agg(target), '{}') INTO v_ended FROM ended;

  UPDATE oban_workflow_groups SET window_from = NULL, window_released = NULL WHERE key = ANY(v_ended);

  PERFORM oban_workflow_serve_lines(p_root, v_ended);
END;
$$;
