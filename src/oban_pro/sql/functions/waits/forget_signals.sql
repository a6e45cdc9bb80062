-- Let waits that had settled ask people again: mark the signals that they accepted or refused as used up. Signals of a
-- wait that was never open are kept, since it has not looked at them.
--
-- Called by: oban_workflow_reopen, with jobs that had settled.
-- Locks: rows of waits; the caller holds the root.
-- Called twice: changes nothing.
CREATE OR REPLACE FUNCTION oban_workflow_forget_signals(p_ids bigint[])
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
  UPDATE
    oban_workflow_waits w
  SET
    forgotten = COALESCE((SELECT max(s.id) FROM oban_workflow_signals s WHERE s.job = w.id), 0),
    opened_at = NULL
  WHERE
    w.id = ANY(p_ids)
    AND w.opened_at IS NOT NULL;
END;
$$;
