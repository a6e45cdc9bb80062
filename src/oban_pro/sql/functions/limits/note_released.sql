-- Note in a fan-out with a rate how many of its members are released: in the present period, or in a new one that
-- begins now. If other members have to wait for the next period, a clock will end this one.
--
-- Called by: oban_workflow_serve_line.
-- Locks: the row of the group, and a row of timers; the caller holds the root.
-- Called twice: notes them twice.
CREATE OR REPLACE FUNCTION oban_workflow_note_released(p_limiter bigint, p_count integer, p_now timestamp)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_released integer := (SELECT released FROM oban_workflow_count_free_slots(p_limiter, p_now));
BEGIN
  UPDATE
    oban_workflow_groups
  SET
    window_from = CASE WHEN v_released = 0 THEN p_now ELSE window_from END,
    window_released = v_released + p_count
  WHERE
    key = p_limiter
    AND p_count > 0;

  INSERT INTO oban_workflow_timers (target, kind, root, due)
  SELECT
    key, 'window', root, window_from + make_interval(secs => rate_period)
  FROM
    oban_workflow_groups
  WHERE
    key = p_limiter
    AND next_waiting IS NOT NULL
    AND window_released >= rate_allowed
    AND window_from IS NOT NULL
  ON CONFLICT ON CONSTRAINT oban_workflow_timers_pkey DO UPDATE
  SET
    due = excluded.due;
END;
$$;
