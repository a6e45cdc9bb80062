-- How many more members of a fan-out may be released now: what its limit leaves by its counters, and what its rate
-- leaves in the present period. NULL for any number. Also how many are open, how many were released in the period, and
-- whether there is a rate. Those of a mapped fan-out are in the group that was grafted. Its judge takes none.
--
-- Called by: oban_workflow_serve_line, oban_workflow_stuck_jobs, oban_workflow_slot_v2. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_count_free_slots(
  p_limiter bigint,
  p_now timestamp,
  OUT free integer,
  OUT open integer,
  OUT released integer,
  OUT has_rate boolean
)
LANGUAGE plpgsql
STABLE
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
  v_limiter oban_workflow_groups;
BEGIN
  SELECT * FROM oban_workflow_groups WHERE key = p_limiter INTO v_limiter;

  IF v_limiter.kind = 'fan_out' THEN
    open := v_limiter.total - v_limiter.suspended - v_limiter.completed - v_limiter.cancelled - v_limiter.discarded
      + (SELECT count(*) FROM oban_workflow_groups WHERE parent = p_limiter AND has_begun)
      - CASE
        WHEN v_limiter.judged IS NULL THEN 0
        ELSE (
          SELECT
            count(*)
          FROM
            oban_jobs
          WHERE
            id = oban_workflow_judge_of(p_limiter)
            AND state NOT IN ('suspended', 'completed', 'cancelled', 'discarded')
        )
      END;
  ELSE
    open := (
      SELECT
        COALESCE(sum(total - suspended - completed - cancelled - discarded), 0)
      FROM
        oban_workflow_groups
      WHERE
        parent = p_limiter
    );
  END IF;

  has_rate := v_limiter.rate_allowed IS NOT NULL;
  released := CASE
    -- a period from the future is from before the clock was set back
    WHEN p_now BETWEEN v_limiter.window_from AND v_limiter.window_from + make_interval(secs => v_limiter.rate_period)
      THEN v_limiter.window_released
    ELSE 0
  END;

  free := LEAST(v_limiter.max_open - open, v_limiter.rate_allowed - released);
END;
$$;
