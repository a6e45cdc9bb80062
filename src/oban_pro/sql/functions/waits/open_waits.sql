-- Open waits whose dependencies are satisfied: they listen from now on, and their clocks start. Signals that came
-- before settle a wait at once, and so does a time that has passed. Returns the jobs that settled by it, and how.
--
-- p_ids are suspended jobs, each a wait; p_now is when they open.
--
-- Called by: oban_workflow_release, with jobs that would be released if they were no waits.
-- Locks: rows of waits and timers, then the jobs; the caller holds the root.
-- Called twice: an open wait stays open, with the clock that it has.
CREATE OR REPLACE FUNCTION oban_workflow_open_waits(p_ids bigint[], p_now timestamp, OUT ids bigint[], OUT new text[])
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_opened bigint[];
BEGIN
  WITH opened AS (
    UPDATE
      oban_workflow_waits
    SET
      is_open = true,
      opened_at = p_now,
      announced = false
    WHERE
      id = ANY(p_ids)
      AND NOT is_open
    RETURNING
      id
  )
  SELECT array_agg(id) INTO v_opened FROM opened;

  UPDATE
    oban_workflow_timers
  SET
    due = COALESCE(moment, p_now + make_interval(secs => lasts))
  WHERE
    target = ANY(v_opened)
    AND kind = 'wait';

  SELECT s.ids, s.new INTO ids, new FROM oban_workflow_settle_waits(p_ids, p_now) s;
END;
$$;
