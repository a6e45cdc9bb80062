-- Close waits that are open: they have settled, or wait for a dependency again. Their clocks stop; signals stay.
--
-- If p_anew, they will open as if for the first time.
--
-- Called by: oban_workflow_settle_waits, oban_workflow_apply_changes, oban_workflow_expire, oban_workflow_reopen.
-- Locks: rows of waits and timers; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_close_waits(p_ids bigint[], p_anew boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  UPDATE oban_workflow_timers SET due = NULL WHERE target = ANY(p_ids) AND kind = 'wait' AND due IS NOT NULL;

  UPDATE
    oban_workflow_waits
  SET
    is_open = false,
    opened_at = CASE WHEN p_anew THEN NULL ELSE opened_at END
  WHERE
    id = ANY(p_ids)
    AND is_open;
END;
$$;
